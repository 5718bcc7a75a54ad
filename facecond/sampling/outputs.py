"""Decoded pictures in the form asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from facecond.errors import UserError, nearest
from facecond.sampling.marks import MarkedImage

OUTPUT_TYPES = ("np", "pil", "pt", "latent")
"""uint8 [B, H, W, 3]; a list of PIL pictures, marked as synthetic; float [B, 3, H, W] in [0, 1];
latents [B, C, h, w], not decoded."""


def check_output_type(output_type: str) -> None:
    """Raise `UserError` for a form that there is not."""
    if output_type not in OUTPUT_TYPES:
        fix = nearest(output_type, OUTPUT_TYPES)
        raise UserError(f"unknown output type '{output_type}'", "output_type", fix)


def as_output(images: Tensor, output_type: str) -> Any:
    """Images float [B, 3, H, W] in [-1, 1] -> `np`, `pil` or `pt`."""
    if output_type == "pt":
        return (images.float() / 2 + 0.5).clamp(0, 1)
    pixels = to_uint8(images)
    return pixels if output_type == "np" else [MarkedImage.of(picture) for picture in pixels]


def to_uint8(images: Tensor) -> np.ndarray:
    """Images float [B, 3, H, W] in [-1, 1] -> uint8 [B, H, W, 3], rounded."""
    scaled = ((images.float() + 1) * 127.5).round().clamp(0, 255)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
