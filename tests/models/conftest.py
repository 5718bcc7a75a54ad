"""Tiny real denoisers and autoencoders for the tests of the models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from torch import Tensor

from facecond.models.unet import FaceUNet

CONDITION_DIM, MASK_GRID, LATENT = 12, 4, 8
DOWN, UP = ("DownEncoderBlock2D",) * 2, ("UpDecoderBlock2D",) * 2
TINY: dict[str, dict[str, Any]] = {
    "AutoencoderKL": {
        "block_out_channels": (8, 16),
        "down_block_types": DOWN,
        "up_block_types": UP,
        "latent_channels": 4,
        "norm_num_groups": 4,
    },
    "VQModel": {
        "block_out_channels": (8, 16),
        "down_block_types": DOWN,
        "up_block_types": UP,
        "latent_channels": 3,
        "num_vq_embeddings": 32,
        "norm_num_groups": 4,
    },
    "AutoencoderTiny": {
        "encoder_block_out_channels": (8, 8),
        "decoder_block_out_channels": (8, 8),
        "num_encoder_blocks": (1, 1),
        "num_decoder_blocks": (1, 1),
        "latent_channels": 4,
    },
    "AutoencoderDC": {
        "latent_channels": 8,
        "attention_head_dim": 8,
        "encoder_block_types": ("ResBlock", "ResBlock"),
        "decoder_block_types": ("ResBlock", "ResBlock"),
        "encoder_block_out_channels": (8, 16),
        "decoder_block_out_channels": (8, 16),
        "encoder_layers_per_block": (1, 1),
        "decoder_layers_per_block": (1, 1),
        "encoder_qkv_multiscales": ((), ()),
        "decoder_qkv_multiscales": ((), ()),
    },
}
"""Arguments of an autoencoder of each class that diffusers has; two levels."""


@pytest.fixture(scope="session")
def make_unet() -> Callable[..., FaceUNet]:
    """A FaceUNet of 7 cross-attention layers on 8 x 8 latents; arguments replace the defaults."""

    def make(**options: Any) -> FaceUNet:
        defaults = {
            "sample_size": LATENT,
            "in_channels": 3,
            "out_channels": 3,
            "block_out_channels": (16, 32),
            "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
            "layers_per_block": 1,
            "attention_head_dim": (2, 4),  # diffusers: the number of heads
            "norm_num_groups": 8,
            "cross_attention_dim": CONDITION_DIM,
            "mask_grid": MASK_GRID,
        }
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return FaceUNet(**(defaults | options)).eval()

    return make


@pytest.fixture(scope="session")
def make_inputs() -> Callable[..., tuple[Tensor, dict[str, Tensor]]]:
    """Random x_t [B, 3, 8, 8] and tokens by source (the mask's begin with its 4 x 4 grid)."""

    def make(batch: int = 2, seed: int = 0) -> tuple[Tensor, dict[str, Tensor]]:
        generator = torch.Generator().manual_seed(seed)
        x_t = torch.randn(batch, 3, LATENT, LATENT, generator=generator)
        tokens = {
            "attributes": torch.randn(batch, 5, CONDITION_DIM, generator=generator),
            "mask": torch.randn(batch, MASK_GRID**2 + 3, CONDITION_DIM, generator=generator),
        }
        return x_t, tokens

    return make


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Any]]:
    """Folder of a tiny autoencoder, and the autoencoder itself."""

    def save(name: str) -> tuple[Path, Any]:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            autoencoder = getattr(diffusers, name)(**TINY[name]).eval()
        path = tmp_path_factory.mktemp("autoencoders") / name
        autoencoder.save_pretrained(path)
        return path, autoencoder

    return save
