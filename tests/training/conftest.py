"""Small sets of faces, and a small autoencoder, that the training tests share."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file

from facecond.data.prepared import PreparedFolder
from facecond.data.render_set import render_prepared
from facecond.data.writing import PreparedWriter
from facecond.labels import PALETTE
from facecond.models.unet import FaceUNet
from facecond.pipeline import load_pipeline
from facecond.training.schedule import Schedule


@pytest.fixture
def stop_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Have a real SIGTERM arrive in the given step (the first is 1; 0 for none)."""
    factor = Schedule.factor

    def arrange(step: int) -> None:
        def interrupted(schedule: Schedule, at: int) -> float:
            if at == step - 1:
                os.kill(os.getpid(), signal.SIGTERM)
            return factor(schedule, at)

        monkeypatch.setattr(Schedule, "factor", interrupted)

    return arrange


@pytest.fixture(scope="session")
def weights() -> Callable[[Path], dict[str, torch.Tensor]]:
    """Model folder -> all weights of its denoiser."""

    def read(model: Path) -> dict[str, torch.Tensor]:
        found = {}
        for part in ("unet", "condition_encoder"):
            (file,) = (model / part).glob("*.safetensors")
            found |= {f"{part}.{key}": value for key, value in load_file(file).items()}
        return found

    return read


@pytest.fixture
def with_convolutions(tmp_path: Path) -> Callable[[Path], Path]:
    """Saved model -> the same in a folder of its own, with 1 x 1 convolutions around its
    transformers in place of matrices."""

    def save(model: Path) -> Path:
        pipeline = load_pipeline(model)
        settings = dict(pipeline.unet.config) | {"use_linear_projection": False}
        unet = FaceUNet.from_config(settings)
        given, own = pipeline.unet.state_dict(), unet.state_dict()
        unet.load_state_dict({name: given[name].reshape(own[name].shape) for name in own})
        pipeline.register_modules(unet=unet)
        pipeline.save_pretrained(tmp_path / "convolutions")
        return tmp_path / "convolutions"

    return save


@pytest.fixture(scope="session")
def rendered_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared folder of 96 rendered faces of 64 px."""
    root = tmp_path_factory.mktemp("rendered") / "data"
    render_prepared(str(root), 96, 64, 0, True, 0.2, 0.2, 1)
    return root


@pytest.fixture(scope="session")
def kl_autoencoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of an untrained AutoencoderKL, 64 px to 4 x 16 x 16, whose latents spread widely."""
    path = tmp_path_factory.mktemp("autoencoder") / "kl"
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        autoencoder = AutoencoderKL(
            block_out_channels=(8, 8, 8),
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            latent_channels=4,
            norm_num_groups=4,
        )
        autoencoder.quant_conv.bias[4:] = -1.0
    autoencoder.save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def quarters(tmp_path_factory: pytest.TempPathFactory) -> PreparedFolder:
    """200 pictures of 32 px, 190 of them for the judges: four colours in four quarters; two
    attributes that show, one at random, others unknown."""
    root, size = tmp_path_factory.mktemp("quarters") / "faces", 32
    generator = np.random.default_rng(0)
    with PreparedWriter(root, size, "rendered") as writer:
        for i in range(200):
            blocks = generator.choice([0, 1, 13, 18], size=(2, 2)).astype(np.uint8)
            mask = blocks.repeat(size // 2, 0).repeat(size // 2, 1)
            image = PALETTE[mask].astype(int) + generator.integers(-12, 13, (size, size, 3))
            attributes = np.full(40, -1, np.int8)
            attributes[:3] = generator.integers(0, 2, 3)
            if attributes[0]:
                image[:6] = 255
            if attributes[1]:
                image[-6:] = 0
            pixels = image.clip(0, 255).astype(np.uint8)
            writer.add(f"{i:03d}", pixels, mask, attributes, "judges" if i < 190 else "test")
    return PreparedFolder.open(root)
