"""Pixels as networks take them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def to_network(images: Tensor) -> Tensor:
    """Pictures uint8 [B, 3, H, W] -> float32 [B, 3, H, W] in [-1, 1]."""
    return images.float() / 127.5 - 1


def pictures_to_network(pictures: np.ndarray, device: str | torch.device = "cpu") -> Tensor:
    """Pictures uint8 [B, H, W, 3] -> float32 [B, 3, H, W] in [-1, 1] on the device, which the bytes
    and not the floats travel to."""
    pixels = torch.from_numpy(np.ascontiguousarray(pictures)).to(device)
    return to_network(pixels.permute(0, 3, 1, 2))
