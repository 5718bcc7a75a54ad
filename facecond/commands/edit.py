"""`facecond edit PHOTO --set "Smiling,-Eyeglasses" --model MODEL`: change a face, keep the rest."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facecond.boxed import NAME as BOXED
from facecond.commands.arguments import (
    sampling_steps,
    share_of_one,
    source_scales,
    tau_windows,
)
from facecond.commands.parse import REAL_CLASSIFIER, REAL_PARSER, check_reads_photos
from facecond.commands.photos import check_choice, face_cutter, photo_arguments
from facecond.errors import UserError
from facecond.labels import check_exclusive, parse_attributes, parse_emphasis

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from facecond.editing import EditedFace

SAY_IT = "Or name what the photo shows with --attributes."
WHOLE = "all"
"""The region that needs no layout to be found."""

IN_PHOTO = "in_photo.png"

UNSETTLED = 0.03
"""Residual of the ODE's steps above which the inversion is said to be inexact."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    parser.epilog = (
        'example: facecond edit crop.png --aligned-already --set "Smiling,-Eyeglasses" \\\n'
        "                       --parser PARSER --model RUN/model --out edited\n"
        "         facecond edit photo.jpg --detector YUNET --parser PARSER --region hair \\\n"
        "                       --set Blond_Hair --model RUN/model"
    )
    add("photo", metavar="PHOTO", help="a picture with a face")
    add(
        "--model",
        metavar="DIR",
        default=BOXED,
        help="a folder that `facecond train` wrote; without one, the small model of drawn faces "
        "that comes with facecond",
    )
    add(
        "--set",
        dest="change",
        metavar="NAMES",
        default="",
        help='attributes to set: "Smiling,-Eyeglasses"; a minus for absent. Smiling=1.5 says how '
        "strongly (3)",
    )
    add(
        "--mask",
        metavar="auto|FILE",
        default="auto",
        help="layout of the new face (PNG of classes 0-18, 255 = anything): what differs from the "
        "photo's own is changed. Without --parser and --photo-mask, the photo has it already. "
        "auto (default): the photo's own",
    )
    add("--parser", metavar="PATH", help="face parser that reads the photo's own layout")
    add("--photo-mask", metavar="FILE", help="the photo's own layout, in place of --parser")
    add("--classifier", metavar="DIR", help="attribute judge that reads what the photo shows")
    add("--attributes", metavar="NAMES", help="what the photo shows, as far as you know it")
    add(
        "--region",
        metavar="NAMES",
        help="change these alone: mask classes, or eyes, brows, ears, mouth, face, head; all: the "
        "whole picture (default: where each attribute shows)",
    )
    add(
        "--strength",
        type=share_of_one,
        metavar="S",
        help="how far back in noise, above 0 and up to 1 = all noise (0.8); more changes more",
    )
    add(
        "--guidance",
        type=source_scales,
        metavar="mask=2,attributes=3",
        help="scale per source on the way back, in place of the model's own",
    )
    add("--steps", type=sampling_steps, metavar="K", help="steps there, and as many back (12)")
    add("--routing", metavar="FILE|PRESET", help="route the conditions in another way")
    add(
        "--window",
        type=tau_windows,
        metavar="mask=0.3:1",
        help="let a source speak only at noise levels tau in [LO, HI), beside the routing",
    )
    photo_arguments(parser)
    add(
        "--out",
        metavar="DIR",
        default="edited",
        help="folder for the pictures (edited): edited.png is the face at the model's size, "
        f"{IN_PHOTO} the whole photo at its own size with what changed in it",
    )


def run(args: argparse.Namespace) -> int:
    """Edit; write the new face with its record, alone and in the photo, the crop, its layout, and
    all side by side."""
    _check_words(args)
    import torch
    from tqdm import tqdm

    from facecond.data.pictures import read_photo
    from facecond.editing import edit_face
    from facecond.editing.edit import STEPS, STRENGTH, steps_of
    from facecond.editing.inversion import solver_facts
    from facecond.editing.regions import region_names
    from facecond.face_files.edit_record import edit_record
    from facecond.pipeline import load_pipeline
    from facecond.storage import check_folder_target

    region = region_names(args.region) if args.region else None
    check_folder_target(args.out)
    photo = read_photo(Path(args.photo))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    pipeline = load_pipeline(args.model).to(device)
    if args.routing is not None:
        pipeline.use_routing(args.routing)
    if args.window is not None:
        pipeline.use_windows(args.window)
    cut, size = face_cutter(args, photo), pipeline.image_size
    layout, new_layout, read_by = _layouts(args, cut, size, device, region)
    shown, judged_by = _attributes(args, cut, size, device)
    strength, steps = args.strength or STRENGTH, args.steps or STEPS
    with tqdm(total=steps_of(steps), desc="editing", unit="step", leave=False) as progress:
        edited = edit_face(
            pipeline,
            cut(size),
            args.change,
            mask=layout,
            new_mask=new_layout,
            attributes=shown,
            region=None if layout is None else region,
            strength=strength,
            guidance=args.guidance,
            num_inference_steps=steps,
            after_step=progress.update,
        )
    asked = {**_asked(args), "layout_from": read_by, "attributes_from": judged_by}
    record = edit_record(pipeline, args.model, edited, asked, solver_facts(steps, strength))
    _write(Path(args.out), edited, photo, _square(args, photo), record)
    return 0


def _check_words(args: argparse.Namespace) -> None:
    """Raise `UserError` for what the options alone say wrongly, before anything is loaded."""
    check_exclusive(parse_emphasis(args.change)[0], "--set")
    if args.attributes is not None:
        check_exclusive(parse_attributes(args.attributes), "--attributes")
    if args.parser and args.photo_mask:
        what = "both say what the photo's layout is"
        raise UserError(what, "--parser and --photo-mask", "Leave one out.")
    has_own = bool(args.parser or args.photo_mask)
    if not args.change.strip(" ,") and (args.mask == "auto" or not has_own):
        fix = "Name attributes with --set, or a layout to draw with --mask FILE beside --parser."
        raise UserError("there is nothing to change", "facecond edit", fix)
    check_choice(args)
    if not has_own and args.mask == "auto" and args.region != WHOLE:
        what = "no parser is given, so the regions of the photo cannot be found"
        fix = f"{REAL_PARSER} Or give the photo's layout yourself: --mask FILE."
        raise UserError(what, "--parser", fix)


def _layouts(
    args: argparse.Namespace,
    cut: Callable[[int], np.ndarray],
    size: int,
    device: str,
    region: tuple[str, ...] | None,
) -> tuple[np.ndarray | None, np.ndarray | None, dict[str, Any]]:
    """The photo's own layout, the one wanted (None = its own), uint8 [size, size] each, and where
    the first is from."""
    from facecond.commands.parse import DEFAULT_SIZE
    from facecond.data.masks import read_mask
    from facecond.data.pictures import resize_mask
    from facecond.evaluation.judges import open_parser
    from facecond.evaluation.photo import parse_face

    given = None if args.mask == "auto" else read_mask(Path(args.mask), size)
    if args.photo_mask:
        return read_mask(Path(args.photo_mask), size), given, {"file": args.photo_mask}
    if not args.parser:
        return given, None, {"file": args.mask} if given is not None else {"none": WHOLE}
    judge = open_parser(args.parser, device)
    check_reads_photos(judge, args.aligned_already)
    read = parse_face(cut(judge.image_size or max(DEFAULT_SIZE, size)), judge)
    told = {"parser": args.parser, "weights": judge.weights, "confidence": read.confidence}
    return resize_mask(read.mask, size), given, told


def _attributes(
    args: argparse.Namespace, cut: Callable[[int], np.ndarray], size: int, device: str
) -> tuple[np.ndarray, dict[str, Any]]:
    """What the photo shows, int8 [40], and where that is from; what is said goes before what is
    read."""
    import numpy as np

    from facecond.evaluation.judges import open_classifier
    from facecond.evaluation.photo import judge_attributes
    from facecond.labels import UNSPECIFIED

    said = parse_attributes(args.attributes or "")
    if not args.classifier:
        return said, {}
    judge = open_classifier(args.classifier, device)
    check_reads_photos(judge, args.aligned_already, f"{REAL_CLASSIFIER} {SAY_IT}")
    read = judge_attributes(cut(judge.image_size or size), judge)
    told = {"classifier": args.classifier, "weights": judge.weights}
    return np.where(said != UNSPECIFIED, said, read).astype(np.int8), told


def _asked(args: argparse.Namespace) -> dict[str, Any]:
    """What a record says of the command line."""
    from facecond.storage import sha256

    return {
        "photo": args.photo,
        "photo_sha256": sha256(args.photo),
        "aligned_already": args.aligned_already,
        "detector": args.detector,
        "face": args.face,
        "change": args.change,
        "region": args.region,
        "mask": args.mask,
    }


def _square(args: argparse.Namespace, photo: np.ndarray) -> np.ndarray:
    """Corners of the square that `face_cutter` cut out of a photo, float [4, 2]."""
    from facecond.data.alignment import central_corners, face_square
    from facecond.data.face_finder import load_finder
    from facecond.evaluation.photo import choose_face

    if args.aligned_already:
        return central_corners(*photo.shape[:2])
    faces = load_finder(args.detector).find(photo)
    return face_square(choose_face(faces, args.face, args.photo).landmarks)


def _write(
    folder: Path,
    edited: EditedFace,
    photo: np.ndarray,
    square: np.ndarray,
    record: dict[str, Any],
) -> None:
    """Write the pictures and the record, and say what was lost and kept."""
    import numpy as np

    from facecond.data.alignment import paste_change
    from facecond.data.masks import mask_png
    from facecond.data.writing import encode_png
    from facecond.editing.regions import EDGE
    from facecond.face_files.record import face_png
    from facecond.figures import image_grid
    from facecond.storage import atomic_file, make_folder, write_json

    out = make_folder(folder)
    change = edited.image.astype(np.float32) - edited.photo
    in_photo = {"file": IN_PHOTO, "size": photo.shape[1::-1], "square": square.tolist()}
    record = record | {"file": "edited.png", "in_photo": in_photo}
    shown = {
        "photo": edited.photo,
        "edited": edited.image,
        "there and back": edited.reconstruction,
        "changed": np.repeat(np.rint(edited.weight * 255).astype(np.uint8)[..., None], 3, 2),
        "its layout": edited.layout,
        "drawn under": edited.drawn_layout,
    }
    scale = max(1, 192 // len(edited.image))
    sheet = image_grid([list(shown.values())], column_labels=list(shown), scale=scale)
    # What shows the new face says how it was made.
    pictures = {
        "edited.png": edited.image,
        IN_PHOTO: paste_change(photo, change, square, EDGE),
        "sheet.png": np.array(sheet),
    }
    files = {name: face_png(one, record | {"file": name}) for name, one in pictures.items()}
    files |= {"mask.png": mask_png(edited.layout), "original.png": encode_png(edited.photo)}
    for name, content in files.items():
        with atomic_file(out / name) as temporary:
            temporary.write_bytes(content)
    write_json(out / "edit.json", record)
    errors = edited.errors
    print(
        f"{out}: edited.png and {IN_PHOTO} beside original.png, mask.png, sheet.png and edit.json"
    )
    print(
        f"there and back: {_decibels(errors.reconstruction.psnr)} from the photo (the first stage "
        f"alone {_decibels(errors.first_stage.psnr)}, the inversion alone "
        f"{_decibels(errors.inversion.psnr)})"
    )
    told = "" if errors.untouched.largest is None else (
        f", largest difference there {errors.untouched.largest} grey levels"
    )  # fmt: skip
    if errors.residual > UNSETTLED:
        share = f"{errors.residual:.0%} of the latents' length were still moving"
        print(f"warning: the inversion did not settle ({share}): more --steps, less --strength")
    print(f"untouched: {errors.untouched_share:.0%} of the pixels{told}")


def _decibels(psnr: float | None) -> str:
    return "no difference" if psnr is None else f"{psnr:.1f} dB"
