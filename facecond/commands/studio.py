"""`facecond studio MODEL`: the web page where people paint a mask, set attributes and see faces."""

from __future__ import annotations

import argparse
import os
import threading

from facecond.commands.arguments import model_argument
from facecond.commands.parse import REAL_CLASSIFIER, REAL_PARSER, check_reads_photos

PASSWORD = "FACECOND_STUDIO_PASSWORD"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = "example: facecond studio --port 7860"
    add = parser.add_argument
    model_argument(parser)
    add("--host", default="127.0.0.1", help="address to serve at (127.0.0.1: this machine only)")
    add("--port", type=_port, default=7860, help="port to serve at (7860)")
    add(
        "--password",
        default=os.environ.get(PASSWORD),
        metavar="WORD",
        help=f"ask visitors for it (default: the environment's {PASSWORD})",
    )
    add("--parser", metavar="PATH", help="face parser trained on real faces, to read photos with")
    add("--detector", metavar="FILE", help="YuNet's weights, to find the face in a photo with")
    add("--classifier", metavar="DIR", help="attribute judge, to say what a photo to edit shows")


def run(args: argparse.Namespace) -> int:
    """Load the model and serve until interrupted."""
    if args.host not in ("127.0.0.1", "localhost", "::1") and not args.password:
        print("warning: everybody who reaches this machine can use the studio (see --password)")
    from facecond.studio.app import build, require_gradio, start

    require_gradio()  # before the model, which takes longer
    from facecond.studio.photo_reader import PhotoReader
    from facecond.studio.session import ModelSession
    from facecond.studio.starts import Starts

    session = ModelSession(args.model)
    reader = PhotoReader(args.parser, args.detector, args.classifier)
    for judge, fix in ((reader.parser, REAL_PARSER), (reader.classifier, REAL_CLASSIFIER)):
        if judge is not None:
            check_reads_photos(judge, aligned=not args.detector, fix=fix)
    blocks = build(session, Starts(session.image_size, reader))
    address = start(blocks, args.host, args.port, args.password)
    print(f"the studio is at {address} (end it with Ctrl+C)", flush=True)
    try:
        threading.Event().wait()
    finally:
        blocks.close(verbose=False)
    return 0


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to 65535, not '{text}'")
    return int(text)
