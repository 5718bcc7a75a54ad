"""A disk that fills up amid a training: a real one, a small tmpfs of the test's own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from facecond.training import checkpoint

SPACE = ["unshare", "--map-root-user", "--mount"]
PROGRAM = """
mount -t tmpfs -o size="$1"k tmpfs "$2" && cp -r "$3/." "$2" || exit 99
shift 3
"$@"
code=$?
cp -r "$RUN" "$KEPT"
exit $code
"""
"""KiB, where to, what lies there already, a command: keeps what it left before the disk is gone."""

SETTINGS = [
    "train.minutes=0", "train.batch_size=8", "train.precision=fp32", "train.log_every=1",
    "train.checkpoint_every_s=0", "train.sample_every=0", "train.keep_checkpoints=2",
    "first_stage.latent_channels=6", "denoiser.block_out_channels=[16,32]",
    "denoiser.condition_dim=16", "optim.warmup_steps=2",
]  # fmt: skip


def can_mount(place: Path) -> bool:
    try:
        done = subprocess.run([*SPACE, "mount", "-t", "tmpfs", "tmpfs", str(place)], check=False)
    except OSError:
        return False
    return done.returncode == 0


def size_of(folder: Path) -> int:
    """KiB of its files, in pages of 4."""
    return sum(-(-file.stat().st_size // 4096) * 4 for file in folder.rglob("*") if file.is_file())


@pytest.mark.slow
def test_a_full_disk_ends_a_training_and_harms_nothing(
    rendered_root: Path,
    tmp_path: Path,
    python: Callable[..., subprocess.CompletedProcess[str]],
    weights: Callable[[Path], dict[str, torch.Tensor]],
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if not can_mount(disk):
        pytest.skip("this machine lets nobody mount a disk of his own")

    def words(out: Path, steps: int) -> list[str]:
        given = ["rendered_debug", "--out", str(out), "--set", f"data.root={rendered_root}"]
        return ["-m", "facecond", "train", *given, f"train.steps={steps}", *SETTINGS]

    whole, half = tmp_path / "whole", tmp_path / "half"
    for out, steps in ((whole, 8), (half / "run", 8)):
        assert python(*words(out, steps)).returncode == 0
    for path in (half / "run" / "model", *checkpoint.steps(half / "run" / "checkpoints")):
        subprocess.run(["rm", "-r", path], check=True)
    one = size_of(checkpoint.steps(whole / "checkpoints")[-1])
    room = (
        size_of(half) + 2 * one + one // 2
    )  # two stay; the third, written beside them, does not fit
    command = [sys.executable, *words(disk / "run", 8)]
    kept = tmp_path / "kept"
    done = subprocess.run(
        [*SPACE, "sh", "-c", PROGRAM, "sh", str(room), str(disk), str(half), *command],
        env={**os.environ, "RUN": str(disk / "run"), "KEPT": str(kept)},
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    (line,) = [text for text in done.stderr.splitlines() if text.startswith("facecond: error")]
    assert "step-00000003: No space left on device" in line and "free space" in line
    left = [checkpoint.load(path)[0] for path in checkpoint.steps(kept / "checkpoints")]
    assert left == [1, 2]  # whole, both
    assert not list(kept.glob("checkpoints/.*")) and not (kept / "model").exists()
    again = python(*words(kept, 8))
    assert again.returncode == 0, again.stderr
    resumed, expected = weights(kept / "model"), weights(whole / "model")
    for key, value in expected.items():
        assert torch.equal(resumed[key], value), key
