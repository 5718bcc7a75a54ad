"""`facecond parse PHOTO --parser PATH --out MASK`: the mask of a photo of one's own."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facecond.commands.photos import check_choice, face_cutter, photo_arguments

if TYPE_CHECKING:
    from facecond.evaluation.judges import Judge

REAL_PARSER = (
    "Train one on real faces: `facecond data prepare celebamask --root CelebAMask-HQ --out DATA "
    "--size 256`, then `facecond train judge parser CONFIG --set data.root=DATA --out PARSER`; "
    "or give a public one by path."
)

REAL_CLASSIFIER = (
    "Train one on real faces: `facecond train judge attributes CONFIG --set data.root=DATA --out "
    "CLASSIFIER`."
)

DEFAULT_SIZE = 512
"""Side of the mask where the parser takes pictures of any size."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "example: facecond parse demo/samples/00000.png --parser demo/judges/parser \\\n"
        "             --aligned-already --out mask.png"
    )
    add = parser.add_argument
    add("photo", metavar="PHOTO", help="a picture with a face")
    add("--parser", metavar="PATH", help="face parser trained on real faces")
    add("--out", default="mask.png", metavar="FILE", help="the mask to write (mask.png)")
    add("--aligned", metavar="FILE", help="also write the aligned crop that the mask belongs to")
    add("--overlay", metavar="FILE", help="also write the crop with the mask over it")
    photo_arguments(parser)
    add("--size", type=_size, metavar="S", help="side of the mask (default: the parser's)")


def run(args: argparse.Namespace) -> int:
    """Find, align, parse, and write."""
    from facecond.errors import UserError

    if not args.parser:
        raise UserError("no parser is given", "--parser", REAL_PARSER)
    import torch
    from PIL import Image

    from facecond.data.masks import palette_picture
    from facecond.data.pictures import read_photo
    from facecond.evaluation.judges import open_parser
    from facecond.evaluation.photo import overlay, parse_face
    from facecond.storage import check_file_target

    names = [name for name in (args.out, args.aligned, args.overlay) if name]
    if len(set(names)) < len(names):
        raise UserError("two pictures would have one name", names[0], "Give each its own.")
    for name in names:
        if Path(name).suffix.lower() != ".png":
            raise UserError("is not the name of a PNG file", name, "Write NAME.png.")
        check_file_target(name)
    parser = open_parser(args.parser, "cuda" if torch.cuda.is_available() else "cpu")
    photo = read_photo(Path(args.photo))
    size = args.size or parser.image_size or DEFAULT_SIZE
    check_choice(args)
    check_reads_photos(parser, args.aligned_already)
    face = parse_face(face_cutter(args, photo)(size), parser)
    pictures = {args.out: palette_picture(face.mask)}
    if args.aligned:
        pictures[args.aligned] = Image.fromarray(face.aligned)
    if args.overlay:
        pictures[args.overlay] = Image.fromarray(overlay(face))
    _save(pictures)
    print(f"{args.out}: mask of {size} px, mean confidence of the parser {face.confidence:.3f}")
    return 0


def check_reads_photos(judge: Judge[Any], aligned: bool, fix: str = REAL_PARSER) -> None:
    """Refuse a judge of drawings for photos; warn where the picture may be a drawing."""
    from facecond.errors import UserError

    if judge.scores.get("source") != "rendered":
        return
    kind = "classifier" if judge.scores.get("kind") == "attributes" else "parser"
    if not aligned:
        what = f"this {kind} learned from rendered faces and cannot read photos"
        raise UserError(what, judge.path, fix)
    print(f"warning: this {kind} learned from rendered faces; on a photo it guesses")


def _save(pictures: Mapping[str, Any]) -> None:
    """Write all of the pictures, or none."""
    from contextlib import ExitStack

    from facecond.storage import atomic_file, make_folder

    with ExitStack() as stack:
        for path, picture in pictures.items():
            make_folder(Path(path).parent)
            picture.save(stack.enter_context(atomic_file(path)), "PNG")


def _size(text: str) -> int:
    if not text.isdecimal() or not 16 <= int(text) <= 2048:
        raise argparse.ArgumentTypeError(f"must be a whole number from 16 to 2048, not '{text}'")
    return int(text)
