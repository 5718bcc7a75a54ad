"""A photo on the command line: which face of it, and how it is cut out."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def photo_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `--detector` or `--aligned-already`, and `--face`."""
    way = parser.add_mutually_exclusive_group()
    way.add_argument(
        "--detector", metavar="FILE", help="YuNet's weights, for OpenCV to find the face with"
    )
    way.add_argument(
        "--aligned-already",
        action="store_true",
        help="the photo is a CelebA-HQ-like crop: take its central square, look for no face",
    )
    parser.add_argument(
        "--face",
        type=_face,
        default="largest",
        metavar="largest|N",
        help="which face; N counts from 0, the largest",
    )


def check_choice(args: argparse.Namespace) -> None:
    """Raise `UserError` where a face is chosen that is not looked for."""
    from facecond.errors import UserError

    if args.aligned_already and args.face != "largest":
        raise UserError("no faces are looked for", "--face", "Leave out --aligned-already.")


def face_cutter(args: argparse.Namespace, photo: np.ndarray) -> Callable[[int], np.ndarray]:
    """What cuts the aligned face out of a photo uint8 [H, W, 3], at any size: it gives uint8
    [size, size, 3]. The face is looked for once; which one it is, is said where there are several.

    Raises:
        UserError: no way to find a face is given, or no such face is found.
    """
    from facecond.data.face_finder import SOURCE, WEIGHTS, load_finder
    from facecond.errors import UserError
    from facecond.evaluation.photo import align, central_square, choose_face

    check_choice(args)
    if args.aligned_already:
        return lambda size: central_square(photo, size)
    if not args.detector:
        fix = (
            f"Get {WEIGHTS} (230 kB, MIT licence) from {SOURCE} and give it with --detector, or "
            "give a CelebA-HQ-like crop with --aligned-already."
        )
        raise UserError("no face detector is given", "--detector", fix)
    faces = load_finder(args.detector).find(photo)
    chosen = choose_face(faces, args.face, args.photo)
    if len(faces) > 1:
        which = "the largest" if args.face == "largest" else f"number {args.face}"
        print(f"{args.photo}: {len(faces)} faces found; this is {which} (choose with --face)")
    return lambda size: align(photo, chosen, size)


def _face(text: str) -> str:
    if text != "largest" and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be largest or a number from 0 up, not '{text}'")
    return text
