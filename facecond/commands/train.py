"""`facecond train CONFIG`: train the denoiser."""

from __future__ import annotations

import argparse
from pathlib import Path

from facecond.commands.arguments import config_arguments


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    config_arguments(parser)
    parser.add_argument("--out", metavar="RUN", help="run folder (default: runs/NAME_OF_CONFIG)")
    parser.add_argument(
        "--resume",
        default="auto",
        metavar="auto|never|PATH",
        help="auto: go on from the newest whole checkpoint of the run; never: start anew",
    )
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
    from facecond.training.session import Interrupted

    out = args.out or Path("runs") / Path(args.config).stem
    try:
        model = train(config, out, args.resume, args.init)
    except Interrupted as interruption:
        print(f"{out}: {interruption}; the same command goes on from here")
        return 128 + interruption.signum
    print(f"{model}: trained; try `facecond sample {model}`")
    return 0
