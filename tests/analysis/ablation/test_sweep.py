"""Sweeps from end to end, their failures and their sudden deaths, on a real tiny study."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from facecond.analysis.ablation.local import Local
from facecond.analysis.ablation.manifest import only_sweep
from facecond.analysis.ablation.plan import plan_runs
from facecond.analysis.ablation.sweep import sweep
from facecond.analysis.ablation.table import collect
from facecond.config import load_study
from facecond.errors import UserError
from facecond.storage import read_json, read_json_lines

LONG = {"seeds: [0, 1]": "seeds: [0]"}


def states(out: Path) -> dict[str, str]:
    return {name: e["state"] for name, e in read_json(out / "manifest.json")["runs"].items()}


def stamps(out: Path) -> dict[str, int]:
    return {str(p.relative_to(out)): p.stat().st_mtime_ns for p in out.glob("runs/*/*/done.json")}


@pytest.mark.slow
def test_a_sweep_end_to_end(study_file: Callable[..., Path], tmp_path: Path) -> None:
    """One variant fails and the others go on; then only what is missing or failed is done."""
    out = tmp_path / "out"
    broken = {"  split: {": "  wrong: {first_stage.patch_size: 7}\n  split: {"}
    found = sweep(load_study(study_file(broken)), out, Local(2), seeds=[0])
    assert states(out) == {
        "all/seed-0": "done", "wrong/seed-0": "failed", "split/seed-0": "done"
    }  # fmt: skip
    assert list(found.failed) == ["wrong/seed-0"] and "patch_size 7" in found.failed["wrong/seed-0"]
    assert (found.done, found.total, found.signum) == (2, 3, 0)
    before = stamps(out)
    assert len(before) == 2

    # First stage and latents of all runs are the same files.
    shared = sorted((out / "shared").glob("*/"))
    assert [path.name.split("-")[0] for path in shared] == ["first_stage", "latents"]
    inodes = {
        (out / "runs" / name / "latents" / "latents-00000.npy").stat().st_ino
        for name in ("all/seed-0", "split/seed-0")
    }
    assert inodes == {(shared[1] / "latents-00000.npy").stat().st_ino}
    assert not (out / "runs" / "all" / "seed-0" / "checkpoints").exists()

    # Mend the variant and add a seed.
    mended = {"  split: {": "  wrong: {optim.ema_decay: 0.5}\n  split: {"}
    study = load_study(study_file(mended))
    assert not sweep(study, out, Local(2), only=["wrong", "all"]).failed
    assert states(out) == {
        "all/seed-0": "done", "wrong/seed-0": "done", "split/seed-0": "done",
        "all/seed-1": "done", "wrong/seed-1": "done", "split/seed-1": "missing",
    }  # fmt: skip
    after = stamps(out)
    assert {name: after[name] for name in before} == before
    runs = [run for run in plan_runs(study, out) if run.name in ("all/seed-1", "all/seed-0")]
    table = collect(study, runs)
    assert set(table.cells["all"]["mask_miou"].scores) == {0, 1}
    weights = {found.record["model"] for found in table.runs}
    assert len(weights) == 2  # another seed is another model

    # Another scoring: the trainings stay.
    trained = {p: p.stat().st_mtime_ns for p in out.glob("runs/*/*/model/model_index.json")}
    scored = load_study(study_file({**mended, "n: 8": "n: 10"}))
    sweep(scored, out, Local(2), seeds=[0], only=["split"])
    rows = read_json_lines(out / "runs/split/seed-0/evaluation/results.jsonl")
    assert {row["n"] for row in rows} == {10}
    assert "train" not in read_json(out / "runs/split/seed-0/done.json")["seconds"]
    assert {p: p.stat().st_mtime_ns for p in trained} == trained


def launch(study: Path, out: Path, limit: int = 0) -> subprocess.Popen[str]:
    """The command in a process of its own; `limit`: most KiB of a file."""
    words = [sys.executable, "-m", "facecond", "ablate", str(study), "--out", str(out)]
    shell = f'ulimit -f {limit}; exec "$@"' if limit else 'exec "$@"'
    return subprocess.Popen(
        ["bash", "-c", shell, "bash", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, cwd=out.parent, start_new_session=True,
    )  # fmt: skip


def wait_for(what: Callable[[], Any], process: subprocess.Popen[str], seconds: float = 600) -> None:
    began = time.monotonic()
    while not what():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() - began < seconds
        time.sleep(0.1)


@pytest.mark.slow
def test_a_killed_sweep_loses_no_finished_run_and_goes_on_half_way(
    study_file: Callable[..., Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    steps = "{train.steps: 60, train.checkpoint_every_s: 0.2, train.log_every: 5}"
    path = study_file({**LONG, "  split: {routing.preset: coarse_fine}": f"  long: {steps}"})
    process = launch(path, out)
    half = out / "runs/long/seed-0"
    wait_for(lambda: len(list((half / "checkpoints").glob("step-*"))) >= 1, process)
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    assert states(out) == {"all/seed-0": "done", "long/seed-0": "running"}
    gone, alive = psutil.wait_procs(children, timeout=120)
    assert gone and not alive  # no run goes on behind the back of the next sweep
    newest = max(int(p.name.split("-")[1]) for p in (half / "checkpoints").glob("step-*"))
    done, spoken = stamps(out), (half / "log.txt").stat().st_size
    assert 0 < newest < 60
    again = launch(path, out)
    said, errors = again.communicate(timeout=900)
    assert again.returncode == 0, errors
    assert states(out) == {"all/seed-0": "done", "long/seed-0": "done"}
    assert stamps(out)["runs/all/seed-0/done.json"] == done["runs/all/seed-0/done.json"]
    counted = re.findall(r"(\d+)/60 ", (half / "log.txt").read_text()[spoken:])
    assert int(counted[0]) == newest  # where it goes on from
    logged = [row["step"] for row in read_json_lines(half / "metrics.jsonl")]
    assert logged == list(range(5, 61, 5))
    assert "2 of 2 runs done" in said


@pytest.mark.slow
def test_a_full_disk_ends_the_sweep_in_one_line_and_loses_nothing(
    study_file: Callable[..., Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    path = study_file(LONG)
    assert sweep(load_study(path), out, Local(), only=["all"]).done == 1
    before = stamps(out)
    process = launch(path, out, limit=100)  # KiB: too few for the weights
    _, errors = process.communicate(timeout=900)
    assert process.returncode == 2
    (line,) = [text for text in errors.splitlines() if text.startswith("facecond: error")]
    assert "the disk is full (split/seed-0)" in line and "Free space" in line
    assert stamps(out) == before and states(out)["all/seed-0"] == "done"
    assert not sweep(load_study(path), out, Local()).failed
    assert states(out) == {"all/seed-0": "done", "split/seed-0": "done"}
    assert stamps(out)["runs/all/seed-0/done.json"] == before["runs/all/seed-0/done.json"]


def test_a_sweep_holds_its_folder(study_file: Callable[..., Path], tmp_path: Path) -> None:
    study = load_study(study_file())
    with only_sweep(tmp_path / "out"), pytest.raises(UserError, match="another sweep is at work"):
        sweep(study, tmp_path / "out", Local())


@pytest.mark.parametrize(
    ("changes", "overrides", "message"),
    [
        ({"adherence, ": "adherance, "}, [], "Did you mean 'adherence'"),
        ({"[adherence, fidelity]": "[]"}, [], "nothing is measured"),
        ({}, ["data.root=/nowhere"], "/nowhere"),
        ({}, ["judges.folders=[/nowhere]"], "/nowhere/parser: holds no judge"),
        ({}, ["judges.folders=[a,b,c]"], "a/parser"),
        ({}, ["data.root=''"], "(data): no faces are named"),
    ],
)
def test_faults_come_before_the_first_run(
    changes: dict[str, str], overrides: list[str], message: str,
    study_file: Callable[..., Path], tmp_path: Path,
) -> None:  # fmt: skip
    study = load_study(study_file(changes), overrides)
    with pytest.raises(UserError) as error:
        sweep(study, tmp_path / "out", Local())
    assert message in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "out" / "runs").exists()


def test_a_signal_before_the_first_run_leaves_a_study_that_goes_on(
    study_file: Callable[..., Path], tmp_path: Path
) -> None:
    class Stopped(Local):
        def run(self, tasks: Any, stopped: Any) -> Any:
            os.kill(os.getpid(), signal.SIGTERM)
            return super().run(tasks, stopped)

    found = sweep(load_study(study_file()), tmp_path / "out", Stopped())
    assert found.signum == signal.SIGTERM and found.done == 0
    assert set(states(tmp_path / "out").values()) == {"missing"}
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["study"] == "tiny"


@pytest.mark.slow
def test_faces_and_judges_are_made_once_for_the_study(
    study_file: Callable[..., Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    made = ["data.root=''", "data.count=100", "data.judges_fraction=0.5", "data.test_fraction=0.2"]
    made += ["judges.folders=[]", "judges.steps=2", "judges.seeds=[3]", "seeds=[0]"]
    study = load_study(study_file(), [*made, "evaluate.probes=[adherence]"])
    assert sweep(study, out, Local(2), only=["all"]).done == 1
    scores = read_json(out / "judges/seed-3/parser/scores.json")
    assert scores["seed"] == 3 and scores["steps"] == 2
    assert scores["data_hash"] == read_json(out / "runs/all/seed-0/done.json")["data_hash"]
    before = {p: p.stat().st_mtime_ns for p in [*out.glob("judges/*/*/*"), *out.glob("data/*")]}
    assert sweep(study, out, Local(2)).done == 2
    assert {p: p.stat().st_mtime_ns for p in before} == before
    other = load_study(study_file(), [*made, "evaluate.probes=[adherence]", "data.seed=1"])
    with pytest.raises(UserError, match=r"another data \(seed: 0, 1\)"):
        sweep(other, out, Local())
