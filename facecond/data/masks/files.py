"""Label masks as PNG files: the pixels are the class ids, the palette shows their colours."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from facecond.data.pictures import check_mask_kind, opened, read_bytes, square_mask
from facecond.errors import UserError
from facecond.labels import ANYTHING, ANYTHING_COLOUR, PALETTE

LARGEST = 4096
"""Side in pixels above which a mask is refused before it is decoded."""


def read_mask(
    path: Path, size: int | None = None, content: bytes | None = None, largest: int = LARGEST
) -> np.ndarray:
    """A square label mask from a PNG file, uint8 [S, S], values 0..18 and 255.

    Args:
        path: of the file.
        size: side wanted; the default is the file's own.
        content: of the file, where it is read already; then `path` is only what messages name.
        largest: side above which it is refused.

    Raises:
        UserError: no PNG of classes, not square, too large, or corrupt.
    """
    content = read_bytes(path) if content is None else content
    header = opened(path, content)
    check_mask_kind(path, header)  # of a photo, the shape is not what is wrong
    width, height = header.size
    if max(width, height) > largest:
        what = f"the mask is {width}x{height}"
        raise UserError(what, path, f"Give one of up to {largest}x{largest}.")
    if width != height:
        raise UserError(f"the mask is {width}x{height}", path, "Give a square one.")
    return square_mask(path, size or width, "celebamask", (width, width), content)


def palette_picture(mask: np.ndarray) -> Image.Image:
    """Label mask uint8 [H, W] -> 8-bit palette picture: the pixels are the class ids, the palette
    shows their colours."""
    colours = np.zeros((256, 3), np.uint8)
    colours[: len(PALETTE)], colours[ANYTHING] = PALETTE, ANYTHING_COLOUR
    picture = Image.fromarray(mask).convert("L")
    picture.putpalette(colours.tobytes())
    return picture


def mask_png(mask: np.ndarray) -> bytes:
    """Label mask uint8 [H, W] -> PNG file that `--mask` reads back, class for class."""
    buffer = io.BytesIO()
    palette_picture(mask).save(buffer, "PNG")
    return buffer.getvalue()
