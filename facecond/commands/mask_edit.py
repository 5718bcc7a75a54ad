"""`facecond mask edit FILE --mirror --open hair,hat --replace hat=hair --out FILE`."""

from __future__ import annotations

import argparse
from pathlib import Path

from facecond.commands.mask_output import check_outputs, output_arguments, write_mask
from facecond.errors import UserError


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = "example: facecond mask edit mask.png --mirror --open hair,hat --out edited.png"
    add = parser.add_argument
    add("file", metavar="FILE", help="label mask (PNG of classes 0-18, 255 = anything)")
    add("--replace", type=_pairs, default={}, metavar="A=B,...", help="turn class A into class B")
    add(
        "--open",
        type=_names,
        default=[],
        metavar="A,B",
        help="leave these classes open: anything may be there",
    )
    add("--mirror", action="store_true", help="flip left to right; left and right parts swap names")
    output_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Read, change (replace, then open, then mirror), write."""
    preview = check_outputs(args.out, args.preview)
    if not (args.replace or args.open or args.mirror):
        fix = "Add --mirror, --open A,B or --replace A=B."
        raise UserError("no change is asked for", "facecond mask edit", fix)
    from facecond.data.masks import open_classes, read_mask, replace_classes
    from facecond.labels import ANYTHING, mirror_mask

    mask = open_classes(replace_classes(read_mask(Path(args.file)), args.replace), args.open)
    if args.mirror:
        mask = mirror_mask(mask)
    write_mask(mask, args.out, preview)
    open_share = float((mask == ANYTHING).mean())
    print(f"{args.out}: mask of {len(mask)} px, {open_share:.0%} open; in colours: {preview}")
    return 0


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _pairs(text: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for pair in _names(text):
        old, equals, new = (part.strip() for part in pair.partition("="))
        if not (old and equals and new) or old in pairs:
            raise argparse.ArgumentTypeError(f"must look like hat=hair,eye_g=skin, not '{text}'")
        pairs[old] = new
    return pairs
