"""Reference faces on the command line: which pictures, what to take from each, how strongly."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facecond.commands.arguments import non_negative_number
from facecond.errors import UserError

if TYPE_CHECKING:
    from facecond.models.reference import Reference


def reference_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `--reference`, `--take`, `--weight` and `--detector`."""
    add = parser.add_argument
    add(
        "--reference",
        metavar="FILE",
        action="append",
        default=[],
        help="picture of a face to take something from; may be given several times",
    )
    add(
        "--take",
        metavar="WHAT",
        action="append",
        default=[],
        help="what to take from it: appearance (the default), geometry, identity, the name of an "
        "attribute, or several with commas; once for all references, or once for each",
    )
    add(
        "--weight",
        metavar="W",
        action="append",
        type=non_negative_number,
        default=[],
        help="how strongly (1; 0 = not at all); once for all references, or once for each",
    )
    add(
        "--detector",
        metavar="FILE",
        help="YuNet's weights, to find and align the faces of references; else their central "
        "square is taken",
    )


def read_references(args: argparse.Namespace, size: int) -> list[tuple[str, Reference]]:
    """The references of a command line with their files, as pictures of `size` pixels.

    Raises:
        UserError: options that do not go together, an unreadable picture.
    """
    from facecond.models.reference import Reference

    for option in ("take", "weight", "detector"):
        if getattr(args, option) and not args.reference:
            raise UserError("it goes with --reference", f"--{option}", "Add --reference FILE.")
    finder = _finder(args.detector)
    takes = _one_each(args.take or ["appearance"], args.reference, "--take")
    weights = _one_each(args.weight or [1.0], args.reference, "--weight")
    found = []
    for file, take, weight in zip(args.reference, takes, weights, strict=True):
        picture = _square(Path(file), size, finder)
        words = [word for word in map(str.strip, take.split(",")) if word]
        if not words:
            raise UserError("it names nothing", "--take", "Write appearance, or leave it out.")
        found += [(file, Reference(picture, word, weight)) for word in words]
    return found


def recorded_reference(told: Mapping[str, Any], size: int, detector: str | None) -> Reference:
    """The reference that a record tells of, read again.

    Raises:
        UserError: its file is missing, or no longer has the pixels that were read.
    """
    from facecond.face_files.references import hash_of_pixels
    from facecond.models.reference import Reference

    picture = _square(Path(told["file"]), size, _finder(detector))
    if hash_of_pixels(picture) != told["sha256"]:
        fix = "Put the picture back that was used (and name --detector, if it was found by one)."
        raise UserError("its pixels are not those of the reference", told["file"], fix)
    return Reference(picture, told["take"], told["weight"])


def _finder(weights: str | None) -> Any:
    """Finder of faces with YuNet's weights; None without them."""
    if not weights:
        return None
    from facecond.data.face_finder import load_finder

    return load_finder(weights)


def _one_each(values: list[Any], references: list[str], option: str) -> list[Any]:
    if len(values) == 1:
        return values * len(references)
    if len(values) != len(references):
        what = f"{len(values)} are given for {len(references)} references"
        raise UserError(what, option, "Give one for all, or one for each.")
    return values


def _square(path: Path, size: int, finder: Any) -> np.ndarray:
    """The face, or the central square, uint8 [size, size, 3]."""
    from facecond.evaluation.photo import reference_square

    square, faces = reference_square(_photo(path), finder, size)
    if faces == 0:
        print(f"warning: {path}: no face found; its central square is taken")
    if faces is not None and faces > 1:
        print(f"{path}: {faces} faces found; the largest is taken")
    return square


def _photo(path: Path) -> np.ndarray:
    """A photo upright, uint8 [H, W, 3]; grey values of more than 8 bits are rounded to 8."""
    from PIL import ImageOps

    from facecond.data.pictures import decoded, opened, read_bytes, read_photo
    from facecond.models.pixels import eight_bits

    content = read_bytes(path)
    if opened(path, content).mode.split(";")[0] not in ("I", "F"):
        return read_photo(path, content)
    grey = np.asarray(ImageOps.exif_transpose(decoded(path, content)))  # [H, W]
    if grey.dtype == np.int32 and grey.min() >= 0 and grey.max() < 2**16:
        grey = grey.astype(np.uint16)  # some files of 16 bits are decoded to 32
    return np.stack([eight_bits(grey, path)] * 3, -1)
