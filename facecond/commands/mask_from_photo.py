"""`facecond mask from-photo PHOTO --parser PATH`: `facecond parse`, with the mask in colours."""

from __future__ import annotations

import argparse
from pathlib import Path

from facecond.commands import parse
from facecond.commands.mask_output import check_outputs, preview_argument, write_preview


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parse.configure(parser)
    parser.epilog = (
        "example: facecond mask from-photo demo/samples/00000.png --parser demo/judges/parser \\\n"
        "             --aligned-already --out mask.png"
    )
    preview_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Parse the photo and show its mask."""
    preview = check_outputs(args.out, args.preview)
    done = parse.run(args)
    from facecond.data.masks import read_mask

    write_preview(read_mask(Path(args.out)), preview)
    print(f"in colours: {preview}")
    return done
