"""Pixels as networks take them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from facecond.errors import UserError


def to_network(images: Tensor) -> Tensor:
    """Pictures uint8 [B, 3, H, W] -> float32 [B, 3, H, W] in [-1, 1]."""
    return images.float() / 127.5 - 1


def pictures_to_network(pictures: np.ndarray, device: str | torch.device = "cpu") -> Tensor:
    """Pictures uint8 [B, H, W, 3] -> float32 [B, 3, H, W] in [-1, 1] on the device, which the bytes
    and not the floats travel to."""
    pixels = torch.from_numpy(np.ascontiguousarray(pictures)).to(device)
    return to_network(pixels.permute(0, 3, 1, 2))


def eight_bits(pictures: np.ndarray, where: str | Path) -> np.ndarray:
    """Pictures uint8, uint16 or float in [0, 1] -> uint8, of the same shape.

    Raises:
        UserError: other numbers; `where` names the pictures.
    """
    if pictures.dtype == np.uint8:
        return pictures
    if pictures.dtype.kind == "u" and pictures.dtype.itemsize == 2:  # of either byte order
        return np.rint(pictures / 257).astype(np.uint8)
    if pictures.dtype.kind == "f" and bool(((pictures >= 0) & (pictures <= 1)).all()):
        return np.rint(np.float64(pictures) * 255).astype(np.uint8)
    what = f"expected pictures of uint8, uint16 or floats from 0 to 1, got {pictures.dtype}"
    if pictures.dtype.kind in "fiu" and pictures.size:
        what += f" from {pictures.min():g} to {pictures.max():g}"
    raise UserError(what, where, "Convert it to 8 bits per channel.")
