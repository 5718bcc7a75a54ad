"""A small set of rendered faces, and a small autoencoder, that the training tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL

from facecond.data.render_set import render_prepared


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
