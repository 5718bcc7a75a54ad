"""`facecond routing show MODEL|FILE|PRESET`: which source of conditions reaches which layer."""

from __future__ import annotations

import argparse
from pathlib import Path

from facecond.errors import UserError, nearest


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("action", metavar="show", help="show: print the grid layers x sources")
    parser.add_argument(
        "subject",
        metavar="MODEL|FILE|PRESET",
        help="a model folder, a routing file, or a preset (shown on the demo's denoiser)",
    )


def run(args: argparse.Namespace) -> int:
    """Print the grid."""
    if args.action != "show":
        raise UserError(f"unknown word '{args.action}'", "facecond routing", "Say `routing show`.")
    print(find_routing(args.subject).render())
    return 0


def find_routing(subject: str):  # type: ignore[no-untyped-def]
    """The `Routing` of a saved model, of a JSON file, or a preset on the demo's denoiser."""
    from facecond.models.routing import PRESETS, Routing, preset
    from facecond.storage import read_json

    path = Path(subject)
    if path.is_dir():
        config = read_json(path / "unet" / "config.json")
        return Routing.from_dict(config.get("routing"), str(path))
    if path.is_file():
        return Routing.from_dict(read_json(path), str(path))
    if subject not in PRESETS:
        fix = nearest(subject, PRESETS)
        raise UserError("no model folder, routing file or preset of this name", subject, fix)
    import torch

    from facecond import config as configs
    from facecond.training.setup import denoiser_for

    config = configs.load(configs.RunConfig, "rendered_64")
    with torch.device("meta"):
        unet = denoiser_for(config, 64, (config.first_stage.latent_channels, 16, 16)).unet
    return preset(subject, unet.trained_routing.layers)
