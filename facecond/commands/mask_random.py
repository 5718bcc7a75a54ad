"""`facecond mask random`: the layout of a random rendered face."""

from __future__ import annotations

import argparse

from facecond.commands.arguments import non_negative_int
from facecond.commands.mask_output import (
    check_outputs,
    output_arguments,
    size_argument,
    write_mask,
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = "example: facecond mask random --seed 7 --out mask.png"
    parser.add_argument(
        "--seed", type=non_negative_int, default=0, help="equal seeds give equal masks (0)"
    )
    size_argument(parser)
    output_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Draw and write."""
    preview = check_outputs(args.out, args.preview)
    from facecond.data.masks import random_mask

    write_mask(random_mask(args.seed, args.size), args.out, preview)
    print(f"{args.out}: mask of {args.size} px, seed {args.seed}; in colours: {preview}")
    return 0
