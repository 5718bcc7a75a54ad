"""The same study under Ray: the same table."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from facecond.analysis.ablation.cluster import Ray
from facecond.analysis.ablation.tasks import Task
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
        assert local == ray and len(local.splitlines()) > 5


@pytest.mark.slow
@pytest.mark.skipif(not installed, reason="ray is not installed: the extra [ray]")
def test_a_worker_that_is_killed_is_tried_again(tmp_path: Path) -> None:
    """In a process of its own: a cluster stays with the process that started it."""
    done = subprocess.run(
        [sys.executable, __file__, tmp_path], capture_output=True, text=True, check=False,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["dies once"] == ["done", ""]
    assert told["first"] == told["last"] == ["done", ""]
    assert told["always dies"][0] == "failed" and "its process died" in told["always dies"][1]
    assert (tmp_path / "once").read_text() == "died\ncame back\n"
    assert (tmp_path / "always").read_text() == "died\n" * 2  # tried again once


def main(place: Path) -> None:
    """Tasks some of which are killed; defined here so that Ray sends their code along."""

    def die(name: str, times: int) -> None:
        with open(place / name, "a+", encoding="utf-8") as file:
            file.seek(0)
            dies = len(file.readlines()) < times
            file.write("died\n" if dies else "came back\n")
        if dies:
            os.kill(os.getpid(), signal.SIGKILL)

    log = place / "log.txt"
    tasks = [
        Task("first", time.sleep, (0.1,), log),
        Task("dies once", die, ("once", 1), log),
        Task("always dies", die, ("always", 9), log),
        Task("last", time.sleep, (0.1,), log),
    ]
    events = Ray(2, retries=1).run(tasks, lambda: 0)
    ends = {e.task.name: [e.outcome.state, e.outcome.error] for e in events if e and e.outcome}
    print(json.dumps(ends))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
