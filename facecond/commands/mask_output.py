"""What the `facecond mask` commands write: the label mask, and a picture of it in colours."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from facecond.errors import UserError

if TYPE_CHECKING:
    import numpy as np

DEFAULT_SIZE = 256


def output_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `--out` and `--preview`."""
    parser.add_argument("--out", default="mask.png", metavar="FILE", help="the mask (mask.png)")
    preview_argument(parser)


def preview_argument(parser: argparse.ArgumentParser) -> None:
    """Add `--preview`."""
    parser.add_argument(
        "--preview",
        metavar="FILE",
        help="the mask in colours (default: beside the mask, NAME_preview.png)",
    )


def size_argument(parser: argparse.ArgumentParser) -> None:
    """Add `--size`."""
    parser.add_argument(
        "--size",
        type=_size,
        default=DEFAULT_SIZE,
        metavar="S",
        help=f"side in pixels ({DEFAULT_SIZE}); `sample` takes any and brings it to the model's",
    )


def check_outputs(out: str, preview: str | None) -> str:
    """The preview's file; raises `UserError` unless both can be written as PNG."""
    from facecond.storage import check_file_target

    chosen = preview or str(Path(out).with_name(f"{Path(out).stem}_preview.png"))
    for name in (out, chosen):
        if Path(name).suffix.lower() != ".png":
            raise UserError("is not the name of a PNG file", name, "Write NAME.png.")
        check_file_target(name)
    if Path(out) == Path(chosen):
        raise UserError("two pictures would have one name", out, "Give each its own.")
    return chosen


def write_mask(mask: np.ndarray, out: str, preview: str) -> None:
    """Write a mask uint8 [S, S] as 8-bit PNG of class ids, and its preview."""
    from facecond.data.masks import mask_png
    from facecond.storage import atomic_file, make_folder

    make_folder(Path(out).parent)
    with atomic_file(out) as temporary:
        temporary.write_bytes(mask_png(mask))
    write_preview(mask, preview)


def write_preview(mask: np.ndarray, preview: str) -> None:
    """Write a mask in the colours of its classes, large enough to look at."""
    import numpy as np
    from PIL import Image

    from facecond.labels import colour_mask
    from facecond.storage import atomic_file, make_folder

    make_folder(Path(preview).parent)
    times = max(1, DEFAULT_SIZE // len(mask))
    large = np.repeat(np.repeat(colour_mask(mask), times, 0), times, 1)
    with atomic_file(preview) as temporary:
        Image.fromarray(large).save(temporary, "PNG")


def _size(text: str) -> int:
    if not text.isdecimal() or not 16 <= int(text) <= 1024:
        raise argparse.ArgumentTypeError(f"must be a whole number from 16 to 1024, not '{text}'")
    return int(text)
