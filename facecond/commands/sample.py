"""`facecond sample MODEL`: faces that follow attributes and a mask."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facecond.commands.arguments import (
    model_argument,
    non_negative_int,
    positive_int,
    sampling_steps,
    share,
    source_scales,
    tau_window,
    tau_windows,
    weaker_model,
)
from facecond.commands.references import read_references, reference_arguments
from facecond.commands.sample_conditions import sample_conditions
from facecond.errors import UserError
from facecond.labels import ANYTHING, check_exclusive, colour_mask, parse_emphasis
from facecond.storage import atomic_file, check_folder_target, make_folder, write_json

if TYPE_CHECKING:
    from facecond.face_files.drawing import Artist, FaceRequest, Settings

FACES = 16
"""Drawn where no number is asked for."""
SHOWN = 64
"""Faces on the contact sheet."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    parser.epilog = (
        'example: facecond sample --attributes "Smiling=1.5,-Eyeglasses" --mask random --n 16 \\\n'
        "             --seed 7 --guidance mask=2 --guidance-interval 0.2:0.9 --out faces\n"
        "         facecond sample demo/run/model --mask random --data demo/data --n 8"
    )
    model_argument(parser)
    add(
        "--attributes",
        metavar="NAMES",
        help='e.g. "Smiling,-Eyeglasses": a minus for absent; the others stay open. Smiling=1.5 '
        "emphasises one, by one more pass",
    )
    add(
        "--mask",
        metavar="FILE|random",
        help="label mask (PNG of classes 0-18, 255 = anything), or one drawn at random per face: "
        "from the test split of --data, else rendered; without --attributes, each face then has "
        "those of the face that its mask is of. Default: open",
    )
    reference_arguments(parser)
    add(
        "--data",
        metavar="DIR",
        help="prepared folder that random masks, and their attributes, come from",
    )
    add("--n", type=positive_int, help=f"number of faces ({FACES})")
    add("--seed", type=non_negative_int, default=0, help="face i has the seed SEED + i (0)")
    add(
        "--batch",
        metavar="ROWS",
        help="a .csv or .jsonl file of one face a row, with columns name, attributes, mask, seed, "
        "guidance (any of them; the path of a mask counts from the folder of ROWS); goes on where "
        "an earlier run was stopped",
    )
    add("--workers", type=positive_int, default=1, help="processes that share --batch (1)")
    sampling_arguments(parser)
    add("--batch-size", type=positive_int, default=32, help="faces at a time (32)")
    add(
        "--compile",
        action="store_true",
        help="run the network through torch.compile: a minute or two at first, then faster; for "
        "thousands of faces",
    )
    add("--out", metavar="DIR", default="samples", help="folder for the pictures (samples)")


def sampling_arguments(parser: argparse.ArgumentParser) -> None:
    """Add how faces are drawn: guidance, scheduler, steps, routing."""
    add = parser.add_argument
    add(
        "--guidance",
        type=source_scales,
        metavar="mask=2,attributes=3",
        help="scale per source, 0 to 100, in place of the model's own; a source that is not named "
        "has 1, and 0 hides it",
    )
    add(
        "--guidance-interval",
        type=tau_window,
        metavar="LO:HI",
        help="guide only at noise levels tau in [LO, HI) (0 = picture, 1 = noise): less to compute",
    )
    add(
        "--rescale",
        type=share,
        default=0.0,
        metavar="SHARE",
        help="bring the spread back that guidance widens: 0 = not (default), 1 = wholly",
    )
    add(
        "--weaker",
        type=weaker_model,
        metavar="MODEL[:SCALE]",
        help="lead away from a worse model on the same first stage (an earlier state); SCALE is 2",
    )
    add(
        "--scheduler",
        metavar="NAME",
        help="euler, heun, unipc, dpm++ (ddim, ddpm for epsilon and v models), or a class of "
        "diffusers that can sample the model's schedule",
    )
    add("--steps", type=sampling_steps, metavar="K", help="sampling steps")
    add(
        "--feature-reuse",
        type=sampling_steps,
        default=1,
        metavar="N",
        help="run the deep blocks at every N-th step only: faster, less exact (1: at every step)",
    )
    add("--routing", metavar="FILE|PRESET", help="route the conditions in another way")
    add(
        "--window",
        type=tau_windows,
        metavar="mask=0.3:1",
        help="let a source speak only at noise levels tau in [LO, HI), beside the routing",
    )


def settings_of(args: argparse.Namespace, references: list[Any]) -> Settings:
    """What all faces of a command line share."""
    from facecond.face_files.drawing import Settings
    from facecond.face_files.references import described

    told = described(references)
    return Settings(
        model=str(args.model),
        steps=args.steps,
        scheduler=args.scheduler,
        routing=args.routing,
        windows=args.window,
        interval=args.guidance_interval,
        rescale=args.rescale,
        reuse=args.feature_reuse,
        weaker=None if args.weaker is None else args.weaker[0],
        references=tuple(zip(told, (one for _, one in references), strict=True)),
        batch_size=getattr(args, "batch_size", 32),
        compile=getattr(args, "compile", False),
    )


def scales_of(args: argparse.Namespace, own: dict[str, float]) -> dict[str, float]:
    """Scales of a command line; `own` are the model's."""
    scales = dict(own if args.guidance is None else args.guidance)
    if "weaker" in scales:
        raise UserError("'weaker' is no source", "--guidance", "Write --weaker MODEL:SCALE.")
    return scales if args.weaker is None else scales | {"weaker": args.weaker[1]}


def run(args: argparse.Namespace) -> int:
    """Sample; write a PNG per face with its provenance, a contact sheet and samples.json."""
    given, emphasis = parse_emphasis(args.attributes) if args.attributes else (None, {})
    if given is not None:
        check_exclusive(given, "--attributes")
    if args.batch:
        for option in ("attributes", "mask", "data"):
            if getattr(args, option):
                raise UserError("it does not go with --batch", f"--{option}", "Write it per row.")
        if args.n is not None:
            fix = "Leave it out: there is a face for each row."
            raise UserError("it does not go with --batch", "--n", fix)
    elif args.workers > 1:
        raise UserError("it goes with --batch", "--workers", "Leave it out.")
    check_folder_target(args.out)
    from facecond.diffusion.guidance import plan
    from facecond.face_files.drawing import Artist, FaceRequest
    from facecond.face_files.rows import read_rows
    from facecond.sampling.guided import WEAKER
    from facecond.sampling.passes import GUIDED

    settings = settings_of(args, [])
    artist = Artist(settings)
    size = artist.pipeline.image_size
    settings = settings_of(args, read_references(args, size))
    artist.settings = settings
    scales = scales_of(args, dict(artist.pipeline.config.guidance))
    parts = GUIDED if args.weaker is None else (*GUIDED, WEAKER)
    plan(scales | emphasis, parts)  # a fault in it is told before there is a folder
    if args.batch:
        requests = read_rows(Path(args.batch), size, args.seed, scales, parts)
        return _write(args, artist, settings, requests, resume=True)
    seeds = list(range(args.seed, args.seed + (args.n or FACES)))
    attributes, masks = sample_conditions(args, given, size, seeds)
    requests = [
        FaceRequest(f"{i:05d}", seed, attributes[i], masks[i], args.mask or "open",
                    scales | emphasis)
        for i, seed in enumerate(seeds)
    ]  # fmt: skip
    return _write(args, artist, settings, requests, resume=False)


def _write(
    args: argparse.Namespace,
    artist: Artist,
    settings: Settings,
    requests: list[FaceRequest],
    resume: bool,
) -> int:
    """Draw what is missing; then the list of all, and the contact sheet of the first."""
    from PIL import Image

    from facecond.face_files.bulk import draw_all, finished
    from facecond.face_files.record import hash_of_weights
    from facecond.figures import image_grid
    from facecond.sampling.marks import png_text

    out = make_folder(args.out)
    records = finished(artist, requests, out) if resume else {}
    there = len(records)
    left = [request for request in requests if request.name not in records]
    for record in draw_all(settings, artist, left, out, args.workers, there):
        records[Path(record["file"]).stem] = record
    write_json(out / "samples.json", [records[request.name] for request in requests])
    rows: list[list[np.ndarray]] = []
    shown = requests[:SHOWN]
    for start in range(0, len(shown), 8):
        part = shown[start : start + 8]
        if any((request.mask != ANYTHING).any() for request in shown):
            rows.append([colour_mask(request.mask) for request in part])
        rows.append([np.asarray(Image.open(out / f"{request.name}.png")) for request in part])
    sheet = image_grid(rows, scale=max(1, 192 // artist.pipeline.image_size))
    mark = png_text(model_hash=hash_of_weights(artist.pipeline))
    with atomic_file(out / "grid.png") as temporary:
        sheet.save(temporary, "PNG", pnginfo=mark)
    before = f" ({there} were there already)" if there else ""
    print(f"{out}: {len(requests)} faces{before}, grid.png and samples.json")
    return 0
