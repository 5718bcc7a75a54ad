"""`facecond data prepare`: raw data into a prepared folder."""

from __future__ import annotations

import argparse
import sys

from facecond.commands.arguments import non_negative_int
from facecond.commands.data_render import check_range
from facecond.errors import UserError, nearest

KINDS = ("celebamask", "folder")
ONLY = {
    "celebamask": {"--split": "split"},
    "folder": {"--labels": "label_order", "--test-with-attributes": "test_with_attributes"},
}
"""Kind -> options that it alone takes: option -> argument of its function."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options. What is not given is left to `prepare_celebamask`, `prepare_folder`."""
    parser.epilog = (
        "example: facecond data render --layout folder --out raw --count 200 --size 128\n"
        "         facecond data prepare folder --root raw --out raw_64 --size 64"
    )
    parser.add_argument(
        "kind",
        help="celebamask: CelebAMask-HQ as downloaded; folder: images/ and, as far as there are "
        "any, masks/ and a CSV of attributes",
    )
    parser.add_argument("--root", required=True, metavar="DIR", help="the raw data")
    parser.add_argument("--out", required=True, metavar="DIR", help="prepared folder to make")
    parser.add_argument("--size", required=True, type=int, metavar="S", help="side in pixels")
    parser.add_argument(
        "--split",
        metavar="NAME",
        help="celebamask: papers-27000 (default: ids from 27,000 on are the test split), "
        "papers-28000, celeba (its official partition), random",
    )
    parser.add_argument(
        "--labels",
        metavar="ORDER",
        help="folder: order of the mask classes: celebamask (default), bisenet, or a file of rows "
        "value,class",
    )
    parser.add_argument(
        "--identities", metavar="FILE", help="who is who: lines NAME ID, as identity_CelebA.txt"
    )
    parser.add_argument("--seed", type=non_negative_int, help="of the splits (default 0)")
    parser.add_argument(
        "--judges-fraction",
        type=float,
        help="share of the judges (default 0.2; celebamask: 0.1, of the training ids)",
    )
    parser.add_argument(
        "--test-fraction", type=float, help="share of the test split, where drawn (default 0.1)"
    )
    parser.add_argument(
        "--test-with-attributes",
        action="store_true",
        default=None,
        help="folder: the test split takes only faces whose 40 attributes are all known",
    )
    parser.add_argument("--workers", type=int, help="processes (default: one per core)")


def run(args: argparse.Namespace) -> int:
    """Prepare, and say what was made and what is noteworthy about it."""
    from facecond.data.celebamask import prepare_celebamask
    from facecond.data.folder import prepare_folder
    from facecond.data.notes import preparation_notes

    if args.kind not in KINDS:
        raise UserError(f"unknown kind '{args.kind}'", "data prepare", nearest(args.kind, KINDS))
    check_range("--size", args.size, 16, 2048)
    if args.workers is not None:
        check_range("--workers", args.workers, 1, 1024)
    names = ("seed", "judges_fraction", "test_fraction", "identities", "workers")
    options = {name: getattr(args, name) for name in names}
    for kind, own in ONLY.items():
        for option, name in own.items():
            value = getattr(args, option.strip("-").replace("-", "_"))
            if kind != args.kind and value is not None:
                raise UserError(f"does not apply to '{args.kind}'", option, "Leave it out.")
            if kind == args.kind:
                options[name] = value
    _refuse_unused_shares(args)
    given = {name: value for name, value in options.items() if value is not None}
    prepare = prepare_celebamask if args.kind == "celebamask" else prepare_folder
    folder = prepare(args.root, args.out, args.size, **given)
    print(folder.summary())
    for note in preparation_notes(folder):
        print(f"note: {note}", file=sys.stderr)
    return 0


def _refuse_unused_shares(args: argparse.Namespace) -> None:
    """Raise `UserError` for a share that the split does not draw by."""
    if args.kind != "celebamask" or args.split == "random":
        return
    if args.test_fraction is not None:
        fix = "Leave it out, or take --split random."
        raise UserError("this split says who is in the test split", "--test-fraction", fix)
    if args.split == "celeba" and args.judges_fraction is not None:
        fix = "Leave it out: CelebA's validation part is the judges' split."
        raise UserError("this split draws nothing", "--judges-fraction", fix)
