"""`facecond studio MODEL`: the web page where people paint a mask, set attributes and see faces."""

from __future__ import annotations

import argparse
import os
import threading

from facecond.boxed import NAME as BOXED
from facecond.commands.arguments import model_argument
from facecond.commands.parse import REAL_CLASSIFIER, REAL_PARSER, check_reads_photos
from facecond.errors import UserError

PASSWORD = "FACECOND_STUDIO_PASSWORD"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = "example: facecond studio --port 7860"
    add = parser.add_argument
    model_argument(parser)
    parser.set_defaults(model=None)  # tells `boxed` that was said from nothing said
    add("--model", dest="named", metavar="DIR", help="MODEL, by the name that edit has for it")
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
    model = _model(args)
    from facecond.studio.app import build, require_gradio, start
    from facecond.studio.place import check_place

    # Both before the model, which takes longer.
    require_gradio()
    check_place(args.host, args.port)
    if args.host not in ("127.0.0.1", "localhost", "::1") and not args.password:
        print("warning: everybody who reaches this machine can use the studio (see --password)")
    from facecond.studio.photo_reader import PhotoReader
    from facecond.studio.session import ModelSession
    from facecond.studio.starts import Starts

    session = ModelSession(model)
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


def _model(args: argparse.Namespace) -> str:
    """The model, whichever way it is named; raises `UserError` for two."""
    named = [str(one) for one in (args.model, args.named) if one is not None]
    if len(set(named)) > 1:
        what = f"two models are named, {' and '.join(named)}"
        raise UserError(what, "MODEL and --model", "Leave one out.")
    return named[0] if named else BOXED


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to 65535, not '{text}'")
    return int(text)
