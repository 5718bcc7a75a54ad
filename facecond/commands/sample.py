"""`facecond sample MODEL`: faces that follow attributes and a mask."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from facecond.commands.arguments import (
    non_negative_int,
    positive_int,
    sampling_steps,
    source_scales,
)
from facecond.commands.references import described, read_references, reference_arguments
from facecond.errors import UserError
from facecond.labels import (
    ANYTHING,
    ATTRIBUTES,
    UNSPECIFIED,
    colour_mask,
    parse_attributes,
)
from facecond.storage import atomic_file, make_folder


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("model", metavar="MODEL", help="a folder that `facecond train` wrote (RUN/model)")
    add(
        "--attributes",
        metavar="NAMES",
        help='e.g. "Smiling,-Eyeglasses": a minus for absent; the others stay open',
    )
    add(
        "--mask",
        metavar="FILE|random",
        help="label mask (PNG of classes 0-18, 255 = anything), or one drawn at random per face: "
        "from the test split of --data, else rendered; default: open",
    )
    reference_arguments(parser)
    add("--data", metavar="DIR", help="prepared folder that random masks and attributes come from")
    add("--n", type=positive_int, default=16, help="number of faces (16)")
    add("--seed", type=non_negative_int, default=0, help="face i has the seed SEED + i (0)")
    add(
        "--guidance",
        type=source_scales,
        metavar="mask=2,attributes=3",
        help="scale per source in place of the model's own; a source that is not named has 1",
    )
    add(
        "--scheduler",
        metavar="NAME",
        help="euler, heun, unipc, dpm++ (ddim, ddpm for epsilon and v models), or a class of "
        "diffusers that can sample the model's schedule",
    )
    add("--steps", type=sampling_steps, metavar="K", help="sampling steps")
    add("--routing", metavar="FILE|PRESET", help="route the conditions in another way")
    add("--batch-size", type=positive_int, default=32, help="faces at a time (32)")
    add("--out", metavar="DIR", default="samples", help="folder for the pictures (samples)")


def run(args: argparse.Namespace) -> int:
    """Sample; write a PNG per face with its provenance, a contact sheet and samples.json."""
    given = parse_attributes(args.attributes) if args.attributes else None
    out = make_folder(args.out)
    import torch
    from tqdm import tqdm

    from facecond.face_files import face_png, face_record
    from facecond.figures import image_grid
    from facecond.pipeline import load_pipeline

    pipeline = load_pipeline(args.model)
    pipeline.to("cuda" if torch.cuda.is_available() else "cpu")
    if args.scheduler:
        pipeline.use_scheduler(args.scheduler)
    if args.routing:
        pipeline.use_routing(args.routing)
    seeds = list(range(args.seed, args.seed + args.n))
    attributes, masks = conditions(args, given, pipeline.image_size, seeds)
    given_faces = read_references(args, pipeline.image_size)
    told = described(given_faces)
    faces: list[np.ndarray] = []
    strange: tuple[int, ...] = ()
    for start in tqdm(range(0, args.n, args.batch_size), desc="sample", unit="batch"):
        part = slice(start, start + args.batch_size)
        batch = pipeline(
            attributes[part],
            masks[part],
            seeds[part],
            args.guidance,
            args.steps,
            reference=[reference for _, reference in given_faces],
        )
        faces.extend(batch.images)
        strange = batch.strange
    for file in dict.fromkeys(told[number]["file"] for number in strange):
        print(f"warning: {file}: unlike any face that the model was trained on")
    records = []
    for index, (face, seed) in enumerate(zip(faces, seeds, strict=True)):
        record = {
            "file": f"{index:05d}.png",
            **face_record(
                pipeline, str(args.model), seed, attributes[index], masks[index],
                args.mask or "open", args.guidance, args.steps, args.batch_size,
            ),
            **({"references": told} if told else {}),
        }  # fmt: skip
        with atomic_file(out / record["file"]) as temporary:
            temporary.write_bytes(face_png(face, record))
        records.append(record)
    from facecond.storage import write_json

    write_json(out / "samples.json", records)
    shown = min(args.n, 64)
    columns = min(8, shown)
    rows: list[list[np.ndarray]] = []
    for start in range(0, shown, columns):
        stop = min(start + columns, shown)
        if args.mask:
            rows.append(list(colour_mask(masks[start:stop])))
        rows.append(faces[start:stop])
    with atomic_file(out / "grid.png") as temporary:
        image_grid(rows, scale=max(1, 192 // pipeline.image_size)).save(temporary, "PNG")
    print(f"{out}: {args.n} faces, grid.png and samples.json")
    return 0


def conditions(
    args: argparse.Namespace, given: np.ndarray | None, size: int, seeds: list[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Attributes int8 [n, 40] and masks uint8 [n, size, size] of the faces to draw."""
    attributes = np.full((args.n, len(ATTRIBUTES)), UNSPECIFIED, np.int8)
    masks = np.full((args.n, size, size), ANYTHING, np.uint8)
    if args.mask == "random" and args.data:
        from facecond.data.prepared import PreparedFolder
        from facecond.seeding import key_of

        folder = PreparedFolder.open(args.data)
        if folder.image_size != size:
            raise UserError(
                f"its pictures have {folder.image_size} px, the model draws {size}",
                args.data,
                f"Prepare the data with --size {size}.",
            )
        rows = folder.indices("test")
        for index, seed in enumerate(seeds):
            row = int(rows[key_of(seed, "condition") % len(rows)])
            masks[index] = folder.mask(row)
            attributes[index] = folder.attributes[row] if given is None else given
    elif args.mask == "random":
        from facecond.data.rendered import render

        for index, seed in enumerate(seeds):
            face = render(seed, 0, size)
            masks[index] = face.mask
            attributes[index] = face.attributes if given is None else given
    else:
        if args.data:
            raise UserError("--data goes with --mask random", "--data", "Add --mask random.")
        if args.mask:
            from facecond.data.pictures import square_mask

            masks[:] = square_mask(Path(args.mask), size, "celebamask", (size, size))
        if given is not None:
            attributes[:] = given
    return attributes, masks
