"""`facecond train first-stage CONFIG`: an autoencoder between pictures and latents."""

from __future__ import annotations

import argparse

from facecond.commands.arguments import run_arguments
from facecond.commands.train import train_into


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "example: facecond train first-stage first_stage_f4_64 --set data.root=demo/data \\\n"
        "             --out runs/first_stage"
    )
    run_arguments(parser)
    parser.add_argument(
        "--init",
        metavar="MODEL",
        help="fine-tune: begin with the weights of a first stage or autoencoder (folder or hub "
        "id); what fits by name and shape is taken over",
    )


def run(args: argparse.Namespace) -> int:
    """Train, and say where the model is; 130 or 143 when a signal stopped it, state saved."""
    from facecond import config as configs

    config = configs.load(configs.FirstStageRunConfig, args.config, args.overrides)
    if args.dry_run:
        from facecond.training.first_stage_plan import describe

        print(describe(config))
        return 0
    from facecond.training.first_stage import train_first_stage

    advice = "facecond evaluate first-stage MODEL --data DIR"
    return train_into(
        args, lambda out: train_first_stage(config, out, args.resume, args.init), advice
    )
