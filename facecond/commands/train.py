"""`facecond train CONFIG`: train the denoiser."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from facecond.commands.arguments import run_arguments
from facecond.memory import memory_faults

SMALLER = (
    "Begin anew with --set train.batch_size=HALF train.accumulation=2 (the same step), "
    "train.gradient_checkpointing=true, or train.precision=bf16; --dry-run says what a run needs."
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "example: facecond train rendered_64 --set data.root=demo/data train.minutes=5 \\\n"
        "             --out runs/mine"
    )
    run_arguments(parser)
    parser.add_argument(
        "--init",
        metavar="MODEL",
        help="fine-tune: begin with the weights (and the first stage, where the config's is of the "
        "same kind) of a model folder or a finished run; what fits by name and shape is taken over",
    )


def run(args: argparse.Namespace) -> int:
    """Train, and say where the model is; 130 or 143 when a signal stopped it, state saved."""
    from facecond import config as configs

    config = configs.load(configs.RunConfig, args.config, args.overrides)
    if args.dry_run:
        from facecond.training.plan import describe

        print(describe(config, args.init))
        return 0
    from facecond.training.loop import train

    return train_into(
        args, lambda out: train(config, out, args.resume, args.init), "facecond sample MODEL"
    )


def train_into(args: argparse.Namespace, train: Callable[[str | Path], Path], advice: str) -> int:
    """Train into the run folder that the arguments name, and report how that ended.

    Args:
        train: run folder -> model folder.
        advice: a command to go on with; MODEL stands for the model folder.
    """
    from facecond.training.session import Interrupted

    out = args.out or Path("runs") / Path(args.config).stem
    try:
        with memory_faults(str(out), SMALLER):
            model = train(out)
    except Interrupted as interruption:
        print(f"{out}: {interruption}; the same command goes on from here")
        return 128 + interruption.signum
    print(f"{model}: trained; try `{advice.replace('MODEL', str(model))}`")
    return 0
