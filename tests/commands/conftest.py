"""A small trained model and its data, made once by the command line itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from facecond.cli import main

TINY = [
    "train.steps=4", "train.batch_size=8", "train.sample_every=0", "sampling.steps=2",
    "first_stage.latent_channels=6", "denoiser.block_out_channels=[16,32]",
    "denoiser.condition_dim=16",
]  # fmt: skip


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared folder of 60 rendered faces of 64 px."""
    out = tmp_path_factory.mktemp("command_data") / "data"
    words = ["data", "render", "--out", str(out), "--count", "60", "--size", "64"]
    assert main([*words, "--workers", "1"]) == 0
    return out


@pytest.fixture(scope="session")
def model(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model folder of a training of four steps."""
    run = tmp_path_factory.mktemp("command_run") / "run"
    words = ["train", "rendered_debug", "--out", str(run), "--set", f"data.root={data}"]
    assert main([*words, *TINY]) == 0
    return run / "model"
