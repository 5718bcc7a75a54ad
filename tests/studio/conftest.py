"""A small untrained model, saved once, and what the studio makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from facecond.diffusion.schedulers import scheduler
from facecond.models.denoiser import build_denoiser
from facecond.models.first_stage import FirstStage
from facecond.pipeline import FacePipeline
from facecond.seeding import key_of
from facecond.studio.codec import mask_text
from facecond.studio.session import ModelSession

SIZE = 32


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a pipeline of 32 px that draws in milliseconds."""
    with torch.random.fork_rng():
        torch.manual_seed(key_of("studio") >> 1)
        built = build_denoiser(
            image_size=SIZE,
            latent_size=8,
            latent_channels=6,
            block_out_channels=[16, 32],
            down_block_types=["DownBlock2D", "CrossAttnDownBlock2D"],
            mid_block_type="UNetMidBlock2DCrossAttn",
            up_block_types=["CrossAttnUpBlock2D", "UpBlock2D"],
            layers_per_block=1,
            attention_head_dim=16,
            norm_num_groups=8,
            condition_dim=16,
            mask_grid=8,
            positions="locality",
        )
    stage = FirstStage("LinearPatchCode", {"patch_size": 4, "latent_channels": 6})
    images = torch.rand(16, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    stage.autoencoder.fit(images)
    stage.measure([images])
    pipeline = FacePipeline(
        built.unet.eval(),
        built.condition_encoder.eval(),
        stage.eval(),
        scheduler("euler"),
        steps=4,
        guidance={"mask": 2.0},
    )
    path = tmp_path_factory.mktemp("studio") / "tiny" / "model"
    pipeline.save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def session(model: Path) -> ModelSession:
    return ModelSession(model)


@pytest.fixture
def wish() -> dict[str, Any]:
    """What the page sends for two faces."""
    return {
        "job": "job-00000001",
        "client": "client-00000001",
        "mask": mask_text(np.full((SIZE, SIZE), 13, np.uint8)),
        "attributes": {"Smiling": 1, "Eyeglasses": 0},
        "guidance": {"mask": 2.0, "attributes": 1},
        "steps": 3,
        "seed": 7,
        "count": 2,
        "off": [],
    }
