"""kill -9 at any moment of a training, also in the middle of a save.

More kills than in the suite, and where they struck: `FACECOND_KILLS=200 pytest -s
tests/training/test_kills.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

KILLS = int(os.environ.get("FACECOND_KILLS", "10"))
PROGRAM = Path(__file__).with_name("killed_training.py")


@pytest.mark.slow
def test_a_killed_training_loses_one_interval_at_most(
    rendered_root: Path, tmp_path: Path, python: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    out = tmp_path / "runs"
    done = python(PROGRAM, rendered_root, out, KILLS, timeout=600 + 60 * KILLS)
    log = out / "children.log"
    assert done.returncode == 0, done.stderr + log.read_text()[-3000:]
    counts = json.loads(done.stdout)
    print(counts)
    assert counts["kills"] == KILLS and counts["runs"] >= 1
