"""`facecond data prepare`: raw data into a prepared folder."""

from __future__ import annotations

import argparse

from facecond.commands.arguments import non_negative_int
from facecond.commands.data_render import check_range
from facecond.errors import UserError, nearest

KINDS = ("folder",)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("kind", help="folder: images/, masks/ and a CSV of attributes")
    parser.add_argument("--root", required=True, metavar="DIR", help="the raw data")
    parser.add_argument("--out", required=True, metavar="DIR", help="prepared folder to make")
    parser.add_argument("--size", required=True, type=int, metavar="S", help="side in pixels")
    parser.add_argument(
        "--labels",
        default="celebamask",
        metavar="ORDER",
        help="order of the mask classes: celebamask (default) or bisenet",
    )
    parser.add_argument("--seed", type=non_negative_int, default=0, help="of the splits")
    parser.add_argument("--judges-fraction", type=float, default=0.2, help="share of the judges")
    parser.add_argument("--test-fraction", type=float, default=0.1, help="share of the test split")
    parser.add_argument(
        "--test-with-attributes",
        action="store_true",
        help="the test split takes only faces whose 40 attributes are all known",
    )
    parser.add_argument("--workers", type=int, help="processes (default: one per core)")


def run(args: argparse.Namespace) -> int:
    """Prepare, and say what was made."""
    from facecond.data.folder import prepare_folder

    if args.kind not in KINDS:
        raise UserError(f"unknown kind '{args.kind}'", "data prepare", nearest(args.kind, KINDS))
    check_range("--size", args.size, 16, 2048)
    if args.workers is not None:
        check_range("--workers", args.workers, 1, 1024)
    folder = prepare_folder(
        args.root,
        args.out,
        args.size,
        args.labels,
        args.seed,
        args.judges_fraction,
        args.test_fraction,
        args.test_with_attributes,
        args.workers,
    )
    print(folder.summary())
    return 0
