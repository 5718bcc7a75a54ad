"""Tiny real denoisers for the tests of the models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from facecond.models.unet import FaceUNet

CONDITION_DIM, MASK_GRID, LATENT = 12, 4, 8


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
