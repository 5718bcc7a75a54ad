"""`facecond mask template NAME`: a layout to start from; without a name, which there are."""

from __future__ import annotations

import argparse

from facecond.commands.mask_output import (
    check_outputs,
    output_arguments,
    size_argument,
    write_mask,
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = "example: facecond mask template smile --out smile.png"
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="which one; without a name, all are listed"
    )
    size_argument(parser)
    output_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Write the template, or list what there is."""
    from facecond.data.masks import TEMPLATES, template_mask

    if args.name is None:
        width = max(map(len, TEMPLATES))
        print("\n".join(f"{name:<{width}}  {t.words}" for name, t in TEMPLATES.items()))
        return 0
    preview = check_outputs(args.out, args.preview)
    write_mask(template_mask(args.name, args.size), args.out, preview)
    print(f"{args.out}: {TEMPLATES[args.name].words}, {args.size} px; in colours: {preview}")
    return 0
