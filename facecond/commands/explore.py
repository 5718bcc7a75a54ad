"""`facecond explore MODEL`: grids over conditions, and paths between two faces."""

from __future__ import annotations

import argparse
import hashlib
import re
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facecond.commands.arguments import (
    condition_count,
    model_argument,
    non_negative_int,
    positive_int,
)
from facecond.commands.references import read_references, reference_arguments
from facecond.commands.sample import sampling_arguments, scales_of, settings_of
from facecond.errors import UserError
from facecond.labels import (
    ANYTHING,
    LARGEST_SCALE,
    check_exclusive,
    format_attributes,
    parse_attributes,
    parse_emphasis,
)
from facecond.storage import atomic_file, check_folder_target, make_folder, write_json

if TYPE_CHECKING:
    from facecond.editing.grids import Axis


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    parser.epilog = (
        'example: facecond explore --grid "Smiling x Male" --grid "seed x mask=0,1,2"\n'
        '         facecond explore --attributes "Smiling,-Male" --mask random --seed 3 \\\n'
        '             --to "-Smiling,Male" --to-mask random --to-seed 9 --frames 24'
    )
    model_argument(parser)
    add(
        "--grid",
        action="append",
        default=[],
        metavar='"ROWS x COLUMNS"',
        help="an axis is an attribute (off and on; Smiling=off,open,on; Smiling=1,2,3 emphasises "
        "it), a source with its scales (mask=0,1,2,4), or seed (seed=1,5,9); may be given several "
        "times",
    )
    add(
        "--attributes",
        metavar="NAMES",
        default="",
        help='of every face: "Young,-Eyeglasses"; Smiling=1.5 emphasises one, by one more pass',
    )
    add("--mask", metavar="FILE|random", help="layout of every face; random: a rendered one")
    add("--seed", type=non_negative_int, default=0, help="noise of every face (0)")
    add("--to", metavar="NAMES", help="attributes at the other end of a path")
    add(
        "--to-mask",
        metavar="FILE|random",
        help="layout there (the same); random: that of --to-seed, else of SEED + 1",
    )
    add("--to-seed", type=non_negative_int, metavar="N", help="noise there (the same)")
    add("--frames", type=condition_count, default=16, help="faces of the path (16)")
    reference_arguments(parser)
    sampling_arguments(parser)
    add("--batch-size", type=positive_int, default=32, help="faces at a time (32)")
    add("--out", metavar="DIR", default="explored", help="folder for the pictures (explored)")


def run(args: argparse.Namespace) -> int:
    """Draw the grids and the path; write labelled pictures and what they were drawn from."""
    attributes, emphasis = parse_emphasis(args.attributes)
    check_exclusive(attributes, "--attributes")
    aim = None if args.to is None else parse_attributes(args.to)
    if aim is not None:
        check_exclusive(aim, "--to")
    moves = aim is not None or args.to_mask or args.to_seed is not None
    if not (args.grid or moves):
        raise UserError("there is nothing to draw", "explore", "Give --grid, or --to for a path.")
    from facecond.editing.grids import Cell, cells_of, draw_grid, parse_grid
    from facecond.face_files.drawing import Artist
    from facecond.face_files.record import hash_of_weights
    from facecond.figures import image_grid
    from facecond.models.routing import SOURCES
    from facecond.sampling.marks import png_text

    grids = [parse_grid(text, args.seed, (*SOURCES, "reference")) for text in args.grid]
    for rows, columns in grids:
        cells_of(rows, columns, Cell(attributes, args.seed, {}))
        for axis in (rows, columns):
            if axis.kind == "scale" and max(axis.values) > LARGEST_SCALE:
                what = f"{max(axis.values):g} is no value of '{axis.name}'"
                raise UserError(what, "--grid", f"Use numbers from 0 to {LARGEST_SCALE:g}.")
    check_folder_target(args.out)
    artist = Artist(settings_of(args, []))
    pipeline, size = artist.pipeline, artist.pipeline.image_size
    scale = max(1, 128 // size)
    scales = scales_of(args, dict(pipeline.config.guidance)) | emphasis
    model_hash = hash_of_weights(pipeline)
    mask = _mask(args.mask, size, args.seed)
    references = read_references(args, size)
    artist.settings = settings_of(args, references)
    options: dict[str, Any] = {
        "num_inference_steps": args.steps,
        "reference": [reference for _, reference in references],
        "guidance_interval": args.guidance_interval,
        "guidance_rescale": args.rescale,
        "feature_reuse": args.feature_reuse,
        "weaker": artist.weaker,
    }
    out = make_folder(args.out)
    written: list[dict[str, Any]] = []
    for text, (rows, columns) in zip(args.grid, grids, strict=True):
        start = Cell(attributes, args.seed, scales)
        faces = draw_grid(pipeline, rows, columns, start, mask, args.batch_size, **options)
        name = _file_name(text, [one["files"][0] for one in written])
        sheet = image_grid(faces, row_labels=rows.labels, column_labels=columns.labels, scale=scale)
        with atomic_file(out / name) as temporary:
            sheet.save(temporary, "PNG", pnginfo=png_text(model_hash=model_hash))
        axes = {"rows": _told(rows), "columns": _told(columns)}
        written.append({"files": [name], "grid": text, **axes})
    if moves:
        files = _path(
            args, pipeline, attributes, aim, mask, scales, scale, out, options, model_hash
        )
        end = {"to": None if aim is None else format_attributes(aim), "to_mask": args.to_mask,
               "to_seed": args.to_seed, "frames": args.frames}  # fmt: skip
        written.append({"files": files, **end})
    files = [file for one in written for file in one["files"]]
    record = {
        "files": files,
        "drawn": written,
        "attributes": format_attributes(attributes),
        "mask": args.mask or "open",
        "mask_sha256": hashlib.sha256(mask.tobytes()).hexdigest(),
        "seed": args.seed,
        **artist.shared(scales),
        "batch_size": args.batch_size,
    }
    write_json(out / "explored.json", record)
    print(f"{out}: {', '.join(files)}")
    return 0


def _file_name(text: str, taken: list[str]) -> str:
    """`grid_Smiling_x_Male.png`; where that is taken, with a number."""
    stem = f"grid_{re.sub(r'[^A-Za-z0-9]+', '_', text).strip('_')[:80]}"
    folded = {name.casefold() for name in taken}  # on some systems, a and A are one file
    names = (f"{stem}{'' if n == 1 else f'_{n}'}.png" for n in count(1))
    return next(name for name in names if name.casefold() not in folded)


def _told(axis: Axis) -> dict[str, Any]:
    return {"name": axis.name, "kind": axis.kind, "values": list(axis.values)}


def _path(
    args: argparse.Namespace,
    pipeline: Any,
    attributes: np.ndarray,
    aim: np.ndarray | None,
    mask: np.ndarray,
    scales: dict[str, float],
    scale: int,
    out: Path,
    options: dict[str, Any],
    model_hash: str,
) -> list[str]:
    """Draw the faces between two ends, as a strip and a film."""
    from facecond.editing.films import UNPLAYED, back_and_forth, write_gif, write_mp4
    from facecond.editing.interpolation import End, path
    from facecond.figures import image_grid
    from facecond.sampling.marks import png_text, words_of

    seed = args.seed if args.to_seed is None else args.to_seed
    # The same noise is no reason to have the same random layout.
    layout = args.seed + 1 if args.to_seed is None else args.to_seed
    there = _mask(args.to_mask, pipeline.image_size, layout) if args.to_mask else mask
    start = End(attributes, mask, args.seed)
    end = End(attributes if aim is None else aim, there, seed)
    faces = path(pipeline, start, end, args.frames, scales, args.batch_size, **options)
    shown = faces[np.linspace(0, len(faces) - 1, min(len(faces), 12)).round().astype(int)]
    with atomic_file(out / "path.png") as temporary:
        strip = image_grid([list(shown)], scale=scale)
        strip.save(temporary, "PNG", pnginfo=png_text(model_hash=model_hash))
    film = back_and_forth(faces)
    write_gif(out / "path.gif", film, scale, words_of(model_hash=model_hash))
    codec = write_mp4(out / "path.mp4", film, scale)
    if codec is None:
        print("path.mp4 is left out: this OpenCV has no encoder for it; path.gif shows the same")
    elif codec == UNPLAYED:
        print("path.mp4 is MPEG-4 Part 2, which browsers do not play; path.gif shows the same")
    return ["path.png", "path.gif", *(["path.mp4"] if codec else [])]


def _mask(given: str | None, size: int, seed: int) -> np.ndarray:
    """The layout uint8 [size, size] that an option names; open without one."""
    if given is None:
        return np.full((size, size), ANYTHING, np.uint8)
    from facecond.data.masks import random_mask, read_mask

    return random_mask(seed, size) if given == "random" else read_mask(Path(given), size)
