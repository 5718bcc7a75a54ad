"""Two processes train one model: they share the data, the gradients and the run folder."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch

from facecond.config import RunConfig, load
from facecond.storage import read_json, read_json_lines
from facecond.training import checkpoint
from facecond.training.loop import train

SETTINGS = [
    "train.steps=8", "train.batch_size=4", "train.sample_every=0", "train.num_workers=0",
    "train.precision=fp32", "train.log_every=1",
    "first_stage.latent_channels=6", "denoiser.block_out_channels=[16,32]",
]  # fmt: skip
LAUNCHER = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
LOSS_TOLERANCE, WEIGHT_TOLERANCE = 1e-4, 1e-3
"""Relative and absolute: sums are taken in another order, and the optimiser amplifies that."""


def test_two_processes_make_one_model(
    rendered_root: Path,
    tmp_path: Path,
    root: Path,
    python: Callable[..., subprocess.CompletedProcess[str]],
    weights: Callable[[Path], dict[str, torch.Tensor]],
) -> None:
    """The one that a single process makes of as many pictures per step, into the second epoch (58
    faces, so that a batch begins in one and ends in the other)."""
    words = ["rendered_debug", "--out", str(tmp_path / "run")]
    words += ["--set", f"data.root={rendered_root}", *SETTINGS]
    done = python(*LAUNCHER, root / "tools" / "train.py", *words)
    assert done.returncode == 0, done.stderr
    provenance = read_json(tmp_path / "run" / "model" / "provenance.json")
    assert (provenance["steps"], provenance["batch"]) == (8, 8)
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-00000008"]
    alone = [f"data.root={rendered_root}", *SETTINGS, "train.accumulation=2"]
    train(load(RunConfig, "rendered_debug", alone), tmp_path / "alone")
    curves = [
        [row["loss"] for row in read_json_lines(tmp_path / name / "metrics.jsonl")]
        for name in ("run", "alone")
    ]
    assert curves[0] == pytest.approx(curves[1], rel=LOSS_TOLERANCE)
    assert len(set(curves[0])) == 8
    both = weights(tmp_path / "run" / "model"), weights(tmp_path / "alone" / "model")
    for key, value in both[0].items():
        torch.testing.assert_close(value, both[1][key], rtol=0, atol=WEIGHT_TOLERANCE, msg=key)


@pytest.mark.slow
def test_where_one_process_dies_the_other_ends(
    rendered_root: Path, tmp_path: Path, root: Path
) -> None:
    words = [
        "rendered_debug",
        "--out",
        str(tmp_path / "run"),
        "--set",
        f"data.root={rendered_root}",
    ]
    words += [*SETTINGS, "train.steps=100000", "train.checkpoint_every_s=0"]
    command = [sys.executable, *LAUNCHER, str(root / "tools" / "train.py"), *words]
    with open(tmp_path / "log.txt", "w", encoding="utf-8") as log:
        launched = psutil.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 200
        while len(checkpoint.steps(tmp_path / "run" / "checkpoints")) < 2:
            assert launched.poll() is None and time.monotonic() < deadline, log.name
            time.sleep(0.1)
        ranks = {
            one.environ()["RANK"]: one
            for one in launched.children(recursive=True)
            if "train.py" in " ".join(one.cmdline())
        }
        ranks["1"].kill()
        assert launched.wait(timeout=120) != 0  # the launcher gives the other one 30 s
        assert not ranks["0"].is_running()
    finally:
        if launched.poll() is None:
            for one in (*launched.children(recursive=True), launched):
                one.kill()
    found = checkpoint.load_newest(tmp_path / "run" / "checkpoints")
    assert found is not None and found[1] >= 2 and not found[3]


def test_two_processes_make_one_first_stage(
    rendered_root: Path,
    tmp_path: Path,
    root: Path,
    python: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """With the adversary, whose weight is agreed upon, from the second step on."""
    words = ["first-stage", "first_stage_f4_64", "--out", str(tmp_path / "run"), "--set"]
    words += [f"data.root={rendered_root}", "autoencoder.block_out_channels=[8,8,16]"]
    words += ["train.steps=3", "train.minutes=0", "train.batch_size=2", "train.accumulation=2"]
    words += ["loss.adversary=0.5", "loss.adversary_start=1", "train.log_every=1"]
    done = python(*LAUNCHER, root / "tools" / "train.py", *words)
    assert done.returncode == 0, done.stderr
    provenance = read_json(tmp_path / "run" / "model" / "provenance.json")
    assert (provenance["steps"], provenance["batch"]) == (3, 8)
    rows = read_json_lines(tmp_path / "run" / "metrics.jsonl")
    assert ["adaptive_weight" in row for row in rows] == [False, True, True]
