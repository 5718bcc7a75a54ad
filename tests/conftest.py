"""Settings of all tests: no network, few threads, and a way to run the installed command line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny tensors: threads only get in each other's way


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture
def python(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run this interpreter in another folder: `python("-m", "facecond", "--help")`."""

    def run(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *map(str, arguments)]
        options = {"cwd": tmp_path, "capture_output": True, "text": True, "timeout": 300} | options
        return subprocess.run(command, check=False, **options)

    return run


@pytest.fixture(scope="session")
def make_pipeline() -> Callable[..., Any]:
    """An untrained pipeline of 32 px that draws in milliseconds; `denoiser` and
    the other arguments replace the defaults of `build_denoiser` and of the pipeline."""

    def make(denoiser: dict[str, Any] | None = None, **options: Any) -> Any:
        import torch

        from facecond.diffusion.schedulers import scheduler
        from facecond.models.denoiser import build_denoiser
        from facecond.models.first_stage import FirstStage
        from facecond.pipeline import FacePipeline

        size = 32
        architecture = {
            "block_out_channels": [16, 32],
            "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
            "mid_block_type": "UNetMidBlock2DCrossAttn",
            "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
            "layers_per_block": 1,
            "attention_head_dim": 16,
            "norm_num_groups": 8,
            "condition_dim": 16,
            "mask_grid": 8,
            "positions": "locality",
        }
        model = build_denoiser(
            image_size=size, latent_size=8, latent_channels=6, **(architecture | (denoiser or {}))
        )
        stage = FirstStage("LinearPatchCode", {"patch_size": 4, "latent_channels": 6})
        images = torch.rand(16, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1
        stage.autoencoder.fit(images)
        stage.measure([images])
        parts = (model.unet.eval(), model.condition_encoder.eval(), stage.eval())
        return FacePipeline(*parts, scheduler("euler"), **({"steps": 4} | options))

    return make
