"""The same study under Ray: the same table."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from facecond.analysis.ablation.cluster import Ray
from facecond.errors import UserError

installed = importlib.util.find_spec("ray") is not None


@pytest.mark.skipif(installed, reason="ray is installed: its absence cannot be tested")
def test_without_ray_one_line_says_how_to_get_it() -> None:
    with pytest.raises(UserError, match=r'pip install "facecond\[ray\]"'):
        Ray()


@pytest.mark.slow
@pytest.mark.skipif(not installed, reason="ray is not installed: the extra [ray]")
def test_two_processes_of_ray_give_the_table_of_local_ones(
    study_file: Callable[..., Path], tmp_path: Path
) -> None:
    """Another engine for the same study; a run that fails does so under both."""
    broken = {"  split: {": "  wrong: {first_stage.patch_size: 7}\n  split: {"}
    path = study_file({**broken, "seeds: [0, 1]": "seeds: [0]"})
    for engine in ("local", "ray"):
        words = ["ablate", path, "--out", tmp_path / engine, "--workers", "2", "--engine", engine]
        done = subprocess.run(
            [sys.executable, "-m", "facecond", *map(str, words)],
            capture_output=True, text=True, cwd=tmp_path, check=False,
        )  # fmt: skip
        assert done.returncode == 1, done.stderr
        assert "2 of 3 runs done" in done.stdout and "failed wrong/seed-0" in done.stdout
    for name in ("summary.csv", "runs.csv"):
        local, ray = ((tmp_path / engine / name).read_text() for engine in ("local", "ray"))
        assert local == ray and len(local.splitlines()) > 8
