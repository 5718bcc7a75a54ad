"""`facecond reproduce IMAGE`: draw a face again from what its file says, and compare."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facecond.commands.arguments import positive_int
from facecond.commands.references import recorded_reference
from facecond.errors import UserError
from facecond.storage import atomic_file, check_file_target, make_folder

if TYPE_CHECKING:
    from facecond.models.reference import Reference


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    parser.epilog = "example: facecond reproduce faces/00003.png --out again.png"
    add("image", metavar="IMAGE", help="a PNG that `facecond sample` or the studio wrote")
    add("--model", metavar="DIR", help="folder of the model, where it is no longer at its place")
    add("--weaker", metavar="DIR", help="folder of its weaker model, likewise")
    add("--references", metavar="DIR", help="folder of the pictures of its references, likewise")
    add("--out", metavar="FILE", help="write the face drawn again, with its own record: a PNG")
    add(
        "--batch-size",
        type=positive_int,
        metavar="B",
        help="faces at a time, in place of the recorded number",
    )
    add("--detector", metavar="FILE", help="YuNet's weights, if references were found with them")


def run(args: argparse.Namespace) -> int:
    """Say whether the face is the same; 0 where it is, bit for bit or within the tolerance."""
    if args.out:
        if Path(args.out).suffix.lower() != ".png":
            raise UserError("a face is written as PNG", args.out, "Name a .png file.")
        check_file_target(args.out)
    from facecond.face_files.record import face_png, read_face
    from facecond.face_files.reproducing import reproduce

    path = Path(args.image)
    size = read_face(path)[0].shape[0]
    read = partial(reference_at, folder=args.references, size=size, detector=args.detector)
    found = reproduce(path, args.model, read, args.batch_size, args.weaker)
    if args.out:
        make_folder(Path(args.out).parent)
        with atomic_file(args.out) as temporary:
            temporary.write_bytes(face_png(found.image, found.record))
    told = f"largest difference {found.largest} grey levels, mean {found.mean:.3f}"
    if found.identical:
        print(f"{path}: identical, bit for bit")
    elif found.within:
        print(f"{path}: the same within tolerance: {told}")
    else:
        print(f"{path}: differs: {told}")
    if not found.identical and found.other:
        largest, mean = found.tolerance
        print(f"not as recorded: {'; '.join(found.other)}")
        print(f"tolerance for that: largest {largest:g}, mean {mean:g}")
    return 0 if found.within else 1


def reference_at(
    told: Mapping[str, Any], folder: str | None, size: int, detector: str | None
) -> Reference:
    """The reference that a record tells of; its picture may have moved to another folder.

    Raises:
        UserError: its picture is not there, or another.
    """
    file = Path(told["file"])
    if folder is not None:
        file = Path(folder) / file.name
    if not file.is_file():
        fix = "Name the folder where it is now: --references DIR."
        raise UserError("the picture of a reference is not there", file, fix)
    return recorded_reference({**told, "file": str(file)}, size, detector)
