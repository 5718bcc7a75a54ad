"""A tiny saved model, and an artist that draws with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from facecond.diffusion.schedulers import scheduler
from facecond.face_files.drawing import Artist, FaceRequest, Settings
from facecond.labels import parse_attributes
from facecond.models.denoiser import build_denoiser
from facecond.models.first_stage import FirstStage
from facecond.pipeline import FacePipeline

SIZE = 32


@pytest.fixture(scope="session")
def saved_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of an untrained model of 32 px."""
    model = build_denoiser(
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
        model.unet, model.condition_encoder, stage, scheduler("euler"), steps=3,
        guidance={"mask": 2.0},
    )  # fmt: skip
    path = tmp_path_factory.mktemp("face_files") / "model"
    pipeline.save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def artist(saved_model: Path) -> Artist:
    return Artist(Settings(str(saved_model)), "cpu")


def request(name: str = "face", seed: int = 7, **changes: Any) -> FaceRequest:
    draw = np.random.default_rng(seed)
    given = {
        "attributes": parse_attributes("Smiling,-Eyeglasses"),
        "mask": draw.integers(0, 19, (SIZE, SIZE)).astype(np.uint8),
        "mask_name": "painted",
        "guidance": {"mask": 2.0},
    }
    return FaceRequest(name, seed, **(given | changes))


@pytest.fixture(scope="session")
def ask() -> Any:
    """Make a request; arguments replace the defaults."""
    return request


@pytest.fixture(scope="session")
def made(artist: Artist) -> tuple[Artist, FaceRequest, np.ndarray]:
    """An artist, a request and its face."""
    asked = request()
    return artist, asked, artist.draw([asked])[0][0]
