"""`facecond train judge parser|attributes CONFIG`: the judges that score generated faces."""

from __future__ import annotations

import argparse

from facecond.commands.arguments import config_arguments
from facecond.memory import memory_faults


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "example: facecond train judge parser judge_parser_64 --set data.root=demo/data \\\n"
        "             --out judges/parser"
    )
    parser.add_argument("kind", choices=("parser", "attributes"), help="which judge to train")
    parser.add_argument("--out", metavar="DIR", help="folder to make (default: judges/KIND)")
    config_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Train a judge, and say how good it is and where it lies."""
    from dataclasses import asdict

    from facecond.config import JudgeConfig, dump, load
    from facecond.errors import UserError

    config = load(JudgeConfig, args.config, args.overrides)
    out = args.out or f"judges/{args.kind}"

    from facecond.data.prepared import PreparedFolder
    from facecond.training.judges import describe, train_judge

    folder = PreparedFolder.open(config.data.root) if config.data.root else None
    part, split = config.data.part, config.data.split
    if args.dry_run:
        print(dump(config).rstrip())
        print(describe(args.kind, folder, part, split, **asdict(config.judge)))
        return 0
    if folder is None:
        raise UserError("no data is named", "data.root", "Add --set data.root=DIR.")
    with memory_faults(out, "Lower judge.batch_size."):
        scores = train_judge(args.kind, folder, out, part=part, split=split, **asdict(config.judge))
    headline = "mask_miou" if args.kind == "parser" else "attribute_bacc"
    count = scores["images"]["validation"]
    print(f"{out}: {headline} {scores[headline]} on {count} held-out faces, {scores['seconds']} s")
    return 0
