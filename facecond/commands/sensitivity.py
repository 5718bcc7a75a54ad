"""`facecond sensitivity MODEL --data DIR --out DIR`: which layer answers to which source."""

from __future__ import annotations

import argparse
import shlex
from typing import Any

from facecond.analysis.sensitivity.options import Options
from facecond.commands.arguments import non_negative_int, positive_int, sampling_steps

COUNTS = (
    ("images", positive_int, "test faces on which keys and values are swapped"),
    ("bins", positive_int, "bins of noise levels"),
    ("settings", positive_int, "attribute settings of the grid"),
    ("masks", positive_int, "masks of the grid"),
    ("seeds", positive_int, "noise seeds of the grid"),
    ("steps", sampling_steps, "sampling steps of the grid"),
)
"""Options that are fields of `Options` by the same name."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = "example: facecond sensitivity demo/run/model --data demo/data --quick"
    parser.add_argument("model", metavar="MODEL", help="a saved model folder")
    parser.add_argument("--data", required=True, metavar="DIR", help="prepared folder")
    parser.add_argument(
        "--out",
        default="sensitivity",
        metavar="DIR",
        help="folder of sensitivity.json and pictures",
    )
    for name, kind, words in COUNTS:
        default = getattr(Options, name)
        text = f"{words} (default: {default})"
        parser.add_argument(f"--{name}", type=kind, default=default, metavar="N", help=text)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="swap and contribution alone; nothing is sampled, jsd_ratio and omega2 are left out",
    )
    parser.add_argument(
        "--routing",
        metavar="FILE|PRESET",
        help="analyse the model under another routing; it may be on only where the model's own is",
    )
    parser.add_argument(
        "--keep-features",
        action="store_true",
        help="keep the recorded statistics (features.npz, float16)",
    )
    parser.add_argument(
        "--seed", type=non_negative_int, default=Options.seed, help="of faces, noise and chance"
    )
    parser.add_argument(
        "--batch-size",
        type=positive_int,
        default=Options.batch_size,
        metavar="N",
        help=f"rows in one pass of the network (default: {Options.batch_size})",
    )


def run(args: argparse.Namespace) -> int:
    """Analyse, write the results, print the table."""
    import torch

    from facecond.analysis.sensitivity.analyse import analyse
    from facecond.analysis.sensitivity.output import write_results
    from facecond.analysis.sensitivity.result import text_table
    from facecond.data.prepared import PreparedFolder
    from facecond.pipeline import load_pipeline
    from facecond.storage import make_folder

    counts = {name: getattr(args, name) for name, *_ in COUNTS}
    options = Options(**counts, quick=args.quick, seed=args.seed, batch_size=args.batch_size)
    options.check()
    out = make_folder(args.out)
    folder = PreparedFolder.open(args.data)
    pipeline = load_pipeline(args.model)
    if args.routing:
        pipeline.use_routing(args.routing)
    found = analyse(
        pipeline.to("cuda" if torch.cuda.is_available() else "cpu"),
        folder,
        options,
        unfinished=out / "unfinished",
        features_out=out / "features.npz" if args.keep_features else None,
    )
    write_results(found, out, command_of(args))
    if found.store is not None:
        found.store.clear()
    print(text_table(found))
    print(out / "sensitivity.json")
    print(out / "sensitivity.html")
    return 0


def command_of(args: argparse.Namespace) -> str:
    """The command line that gives these results."""
    words: list[Any] = ["facecond sensitivity", shlex.quote(args.model)]
    words += ["--data", shlex.quote(args.data)]
    if args.routing:
        words += ["--routing", shlex.quote(args.routing)]
    words += ["--images", args.images, "--bins", args.bins]
    if args.quick:
        words += ["--quick"]
    else:
        words += ["--settings", args.settings, "--masks", args.masks, "--seeds", args.seeds]
        words += ["--steps", args.steps]
    return " ".join(map(str, [*words, "--seed", args.seed, "--batch-size", args.batch_size]))
