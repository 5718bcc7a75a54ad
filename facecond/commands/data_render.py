"""`facecond data render`: rendered faces with true masks and attributes."""

from __future__ import annotations

import argparse

from facecond.commands.arguments import non_negative_int
from facecond.errors import UserError, nearest

LAYOUTS = ("prepared", "folder", "celebamask")
CELEBAMASK_SIZE = 1024


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = "example: facecond data render --out rendered --count 1000 --size 64"
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to make")
    parser.add_argument("--count", required=True, type=int, metavar="N", help="number of faces")
    parser.add_argument(
        "--size",
        type=int,
        metavar="S",
        help=f"side in pixels (needed, but for the layout celebamask: {CELEBAMASK_SIZE})",
    )
    parser.add_argument(
        "--seed", type=non_negative_int, default=0, help="equal seeds draw equal faces"
    )
    parser.add_argument(
        "--layout",
        default="prepared",
        help="prepared: ready for training; folder: images/, masks/, attributes.csv; "
        "celebamask: the raw layout of CelebAMask-HQ",
    )
    parser.add_argument(
        "--independent", action="store_true", help="attributes drawn independently of each other"
    )
    parser.add_argument(
        "--variations",
        type=int,
        default=1,
        metavar="V",
        help="blocks of V geometries x V appearances, known to be the same (factors.csv); "
        "layout prepared",
    )
    parser.add_argument("--judges-fraction", type=float, default=0.2, help="share of the judges")
    parser.add_argument("--test-fraction", type=float, default=0.1, help="share of the test split")
    parser.add_argument("--workers", type=int, help="processes (default: one per core)")


def run(args: argparse.Namespace) -> int:
    """Render, and say what was made."""
    from facecond.data.render_raw import render_celebamask
    from facecond.data.render_set import render_plain, render_prepared
    from facecond.data.rendered.scene import LARGEST, SMALLEST

    if args.layout not in LAYOUTS:
        fix = nearest(args.layout, LAYOUTS)
        raise UserError(f"unknown layout '{args.layout}'", "--layout", fix)
    if args.size is None:
        if args.layout != "celebamask":
            raise UserError("is missing", "--size", f"Give the side, {SMALLEST} to {LARGEST}.")
        args.size = CELEBAMASK_SIZE
    check_range("--count", args.count, 1, 10_000_000)
    check_range("--size", args.size, SMALLEST, LARGEST)
    if args.workers is not None:
        check_range("--workers", args.workers, 1, 1024)
    check_range("--variations", args.variations, 1, 100)
    if args.variations > 1 and args.layout != "prepared":
        what = f"the layout {args.layout} has no place for what varies"
        raise UserError(what, "--variations", "Use the layout prepared.")
    options = (args.out, args.count, args.size, args.seed, not args.independent)
    if args.layout == "folder":
        render_plain(*options, args.workers)
        print(f"{args.out}: {args.count} faces of {args.size} px as images, masks and CSV")
    elif args.layout == "celebamask":
        render_celebamask(*options, args.workers)
        print(f"{args.out}: {args.count} faces of {args.size} px in the layout of CelebAMask-HQ")
    else:
        shares = (args.judges_fraction, args.test_fraction)
        folder = render_prepared(*options, *shares, args.workers, args.variations)
        print(folder.summary())
    return 0


def check_range(option: str, value: int, low: int, high: int) -> None:
    """Raise `UserError` unless `low <= value <= high`."""
    if not low <= value <= high:
        raise UserError(f"{value} is out of range", option, f"Give a number from {low} to {high}.")
