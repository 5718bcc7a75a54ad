"""Layers of a well-known network."""

from __future__ import annotations

import pytest

from facecond.models.routing import Layer


@pytest.fixture(scope="session")
def sd15() -> tuple[Layer, ...]:
    """Stable Diffusion 1.5: 6 layers down, 1 mid, 9 up."""
    down, up = (64, 64, 32, 32, 16, 16), (16, 16, 16, 32, 32, 32, 64, 64, 64)
    return (
        *(Layer(f"down_blocks.{i}.attn", "down", side) for i, side in enumerate(down)),
        Layer("mid_block.0.attn", "mid", 8),
        *(Layer(f"up_blocks.{i}.attn", "up", side) for i, side in enumerate(up)),
    )
