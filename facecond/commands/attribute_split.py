"""`facecond attribute-split`: measure which attributes the mask alone tells."""

from __future__ import annotations

import argparse
from pathlib import Path

from facecond.commands.arguments import non_negative_int, positive_int
from facecond.errors import UserError


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = "example: facecond attribute-split --data demo/data --out attribute_split.json"
    parser.add_argument(
        "--data",
        required=True,
        action="append",
        metavar="PREPARED",
        help="prepared folder with masks and true attributes; the first one decides, further ones"
        " are measured beside it",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="JSON to write")
    parser.add_argument(
        "--predicted",
        action="store_true",
        help="learn (never score) also from faces whose attributes a judge gave",
    )
    parser.add_argument("--steps", type=positive_int, help="of each network (default 300)")
    parser.add_argument("--folds", type=positive_int, default=5, help="default 5")
    parser.add_argument("--seed", type=non_negative_int, default=0)


def run(args: argparse.Namespace) -> int:
    """Measure, write the file, print the table."""
    from dataclasses import replace

    from facecond.analysis.attribute_split import RECIPE, measure, split_record
    from facecond.analysis.attribute_split_table import markdown
    from facecond.data.prepared import PreparedFolder
    from facecond.storage import make_folder, write_json

    if args.folds < 2:
        raise UserError(f"{args.folds} fold leaves nothing to learn from", "--folds", "Take 5.")
    if args.out.is_dir():
        raise UserError("is a folder", f"--out {args.out}", "Name a file.")
    make_folder(args.out.parent)
    recipe = replace(RECIPE, seed=args.seed, steps=args.steps or RECIPE.steps)
    labels = "all" if args.predicted else "true"
    folders = [PreparedFolder.open(root, labels) for root in args.data]
    names = [Path(root).name for root in args.data]
    measured = [
        measure(folder, name, recipe, args.folds)
        for folder, name in zip(folders, names, strict=True)
    ]
    words = ["facecond attribute-split", *(f"--data {name}" for name in names)]
    words += ["--predicted"] if args.predicted else []
    words += [f"--steps {recipe.steps}", f"--folds {args.folds}", f"--seed {args.seed}"]
    record = split_record(measured, " ".join([*words, f"--out {args.out.name}"]))
    write_json(args.out, record)
    print(markdown(record))
    return 0
