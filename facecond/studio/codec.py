"""Masks and files on their way between page and server: base64 text, checked on arrival."""

from __future__ import annotations

import base64
import binascii
import io
from typing import Any

import numpy as np
from PIL import Image

from facecond.errors import UserError
from facecond.labels import ANYTHING, MASK_CLASSES
from facecond.studio.limits import UPLOAD_BYTES

PREVIEW_QUALITY = 85


def mask_text(mask: np.ndarray) -> str:
    """Mask uint8 [S, S] -> base64 of its class ids, row by row."""
    return base64.b64encode(np.ascontiguousarray(mask, np.uint8).tobytes()).decode()


def mask_from_text(text: Any, size: int) -> np.ndarray:
    """Inverse of `mask_text`, uint8 [size, size].

    Raises:
        UserError: another number of pixels, or values other than 0..18 and 255.
    """
    content = bytes_from_text(text, "the mask", 4 * size * size)
    if len(content) != size * size:
        what = f"the mask has {len(content)} pixels, the model takes {size} x {size}"
        raise UserError(what, "mask", "Reload the page.")
    mask = np.frombuffer(content, np.uint8).reshape(size, size).copy()
    known = {*range(len(MASK_CLASSES)), ANYTHING}
    if wrong := sorted(set(np.unique(mask).tolist()) - known):
        fix = "Use 0 to 18, and 255 for anything."
        raise UserError(f"the mask has unknown classes {wrong[:8]}", "mask", fix)
    return mask


def bytes_from_text(text: Any, what: str, limit: int = UPLOAD_BYTES) -> bytes:
    """Base64 text -> bytes; raises `UserError` when it is none, or more than `limit` bytes."""
    if not isinstance(text, str):
        raise UserError(f"{what} is missing", "request", "Reload the page.")
    if len(text) > 4 * (limit + 2) // 3 + 4:
        raise UserError(f"{what} is too large", "upload", f"Give up to {limit / 2**20:.0f} MB.")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise UserError(f"{what} arrived damaged", "upload", "Try again.") from None


def file_text(content: bytes) -> str:
    """Bytes -> base64 text."""
    return base64.b64encode(content).decode()


def preview_text(image: np.ndarray) -> str:
    """Picture uint8 [H, W, 3] -> base64 of a JPEG, for pictures that are soon replaced."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=PREVIEW_QUALITY)
    return file_text(buffer.getvalue())
