"""`facecond routing show MODEL|FILE|PRESET`: which source of conditions reaches which layer."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from facecond.boxed import model_folder
from facecond.errors import UserError, nearest

if TYPE_CHECKING:
    from facecond.models.routing import Routing


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = "example: facecond routing show coarse_fine --picture routing.png"
    parser.add_argument("action", metavar="show", help="show: print the grid layers x sources")
    parser.add_argument(
        "subject",
        metavar="MODEL|FILE|PRESET",
        help="a model folder (boxed: that of the model that comes with facecond), a routing file "
        "(JSON or YAML), or a preset",
    )
    parser.add_argument(
        "--on",
        default="rendered_64",
        metavar="CONFIG",
        help="the training config on whose denoiser rules and presets are shown (rendered_64)",
    )
    parser.add_argument(
        "--sensitivity", default="", metavar="FILE", help="what the rank presets read"
    )
    parser.add_argument("--picture", type=Path, metavar="PNG", help="draw the grid, too")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the table as JSON")


def run(args: argparse.Namespace) -> int:
    """Print the grid, and write what was asked for."""
    if args.action != "show":
        raise UserError(f"unknown word '{args.action}'", "facecond routing", "Say `routing show`.")
    routing, tau_of = find_routing(args.subject, args.on, args.sensitivity)
    print(routing.render(tau_of))
    from facecond.storage import atomic_file, write_json

    if args.out:
        write_json(args.out, routing.to_dict())
    if args.picture:
        from facecond.models.routing.drawing import draw

        with atomic_file(args.picture) as temporary:
            draw(routing, tau_of).save(temporary, "PNG")
    return 0


def find_routing(
    subject: str, on: str, sensitivity: str = ""
) -> tuple[Routing, Callable[[float], float]]:
    """A routing, and logSNR -> tau of the noise schedule that it is for.

    Args:
        subject: folder of a saved model, `boxed`, routing file, or preset.
        on: config of the denoiser whose layers a preset or a file of rules is made for.
        sensitivity: file for the rank presets.
    """
    from facecond import config as configs
    from facecond.diffusion.paths import tau_of
    from facecond.models.routing import PRESETS, Routing
    from facecond.models.routing.files import read_rules
    from facecond.storage import read_json

    path = model_folder(subject)
    if path.is_dir():
        schedule = read_json(path / "model_index.json").get("schedule", "flow")
        table = read_json(path / "unet" / "config.json").get("routing")
        return Routing.from_dict(table, str(path)), partial(tau_of, schedule)
    if path.is_file() and "schema" in (value := read_rules(path)):
        return Routing.from_dict(value, str(path)), partial(tau_of, "flow")
    if not path.is_file() and subject not in PRESETS:
        fix = nearest(subject, PRESETS)
        raise UserError("no model folder, routing file or preset of this name", subject, fix)
    import torch

    from facecond.training.plan import default_image_size
    from facecond.training.setup import denoiser_for

    config = configs.load(configs.RunConfig, on)
    config.routing.sensitivity = config.routing.sensitivity or sensitivity
    config.routing.rules = []
    config.routing.file = subject if path.is_file() else ""
    config.routing.preset = config.routing.preset if path.is_file() else subject
    size, patch = default_image_size(config), config.first_stage.patch_size
    shape = (config.first_stage.latent_channels, size // patch, size // patch)
    with torch.device("meta"):
        unet = denoiser_for(config, size, shape).unet
    return unet.trained_routing, partial(tau_of, config.objective.schedule)
