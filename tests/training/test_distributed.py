"""Two processes train one model: they share the data, the gradients and the run folder."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from facecond.storage import read_json, read_json_lines

SETTINGS = [
    "train.steps=3", "train.batch_size=4", "train.sample_every=0", "train.num_workers=0",
    "first_stage.latent_channels=6", "denoiser.block_out_channels=[16,32]",
]  # fmt: skip


def test_two_processes_make_one_model(
    rendered_root: Path,
    tmp_path: Path,
    root: Path,
    python: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    words = ["rendered_debug", "--out", str(tmp_path / "run")]
    words += ["--set", f"data.root={rendered_root}", *SETTINGS]
    done = python(*launcher, root / "tools" / "train.py", *words)
    assert done.returncode == 0, done.stderr
    provenance = read_json(tmp_path / "run" / "model" / "provenance.json")
    assert (provenance["steps"], provenance["batch"]) == (3, 8)
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-00000003"]


def test_two_processes_make_one_first_stage(
    rendered_root: Path,
    tmp_path: Path,
    root: Path,
    python: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """With the adversary, whose weight is agreed upon, from the second step on."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    words = ["first-stage", "first_stage_f4_64", "--out", str(tmp_path / "run"), "--set"]
    words += [f"data.root={rendered_root}", "autoencoder.block_out_channels=[8,8,16]"]
    words += ["train.steps=3", "train.minutes=0", "train.batch_size=2", "train.accumulation=2"]
    words += ["loss.adversary=0.5", "loss.adversary_start=1", "train.log_every=1"]
    done = python(*launcher, root / "tools" / "train.py", *words)
    assert done.returncode == 0, done.stderr
    provenance = read_json(tmp_path / "run" / "model" / "provenance.json")
    assert (provenance["steps"], provenance["batch"]) == (3, 8)
    rows = read_json_lines(tmp_path / "run" / "metrics.jsonl")
    assert ["adaptive_weight" in row for row in rows] == [False, True, True]
