"""CelebAMask-HQ as downloaded: which files there are, and which face each belongs to.

ROOT/CelebA-HQ-img/N.jpg                              the pictures, 1024 px
ROOT/CelebAMask-HQ-mask-anno/{N // 2000}/NNNNN_PART.png   part masks, 512 px; absent parts have none
ROOT/CelebAMask-HQ-attribute-anno.txt                 40 attributes
ROOT/CelebA-HQ-to-CelebA-mapping.txt                  names in CelebA
ROOT/list_eval_partition.txt, identity_CelebA.txt     CelebA's own, where the user put them there
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from facecond.data.table import IMAGE_SUFFIXES
from facecond.errors import UserError, nearest
from facecond.labels import MASK_CLASSES

IMAGES, PARTS = "CelebA-HQ-img", "CelebAMask-HQ-mask-anno"
ATTRIBUTES_FILE = "CelebAMask-HQ-attribute-anno.txt"
MAPPING, PARTITION = "CelebA-HQ-to-CelebA-mapping.txt", "list_eval_partition.txt"
IDENTITIES = "identity_CelebA.txt"

COUNT, PER_FOLDER = 30_000, 2_000
"""Faces of the whole data set, and of each folder of part masks."""

_PART_FILE = re.compile(r"([0-9]+)_(.+)\.png", re.IGNORECASE)


@dataclass
class RawFace:
    """The files of one face.

    Attributes:
        id: 0..29999.
        image: the picture.
        parts: class ids of the part masks that are there, ascending.
        stamps: name, size and time of change of every file.
    """

    id: int
    image: Path
    parts: list[int] = field(default_factory=list)
    stamps: list[list[str | int]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The id in five digits, as the part masks are named."""
        return name_of(self.id)


def name_of(face: int) -> str:
    """12 -> "00012"."""
    return f"{face:05d}"


def part_path(root: Path, face: int, value: int) -> Path:
    """Where the part mask of class `value` of a face lies."""
    file = f"{name_of(face)}_{MASK_CLASSES[value]}.png"
    return root / PARTS / str(face // PER_FOLDER) / file


def scan_faces(root: Path, excluded: Collection[int] = ()) -> dict[int, RawFace]:
    """Find the files of every face that has a picture and is not excluded; sorted by id.

    Part masks of other faces, and files that are no part masks, are passed over.

    Raises:
        UserError: a folder is missing or empty, a picture is not named by an id, two pictures have
            one id, a part has an unknown name or lies in the folder of other ids.
    """
    faces = {face.id: face for face in _pictures(root) if face.id not in excluded}
    if not faces:
        raise UserError("no pictures found", root / IMAGES, "Unpack them there, as 0.jpg, 1.jpg.")
    any_part = False
    for folder in sorted(_entries(root, PARTS), key=lambda entry: entry.name):
        for entry in os.scandir(folder.path) if folder.is_dir() else ():
            match = _PART_FILE.fullmatch(entry.name)
            if match is None or entry.name.startswith("."):
                continue
            any_part = True
            number, value = int(match[1]), _class_of(match[2], entry)
            proper = part_path(root, number, value)
            if Path(entry.path) != proper:
                raise UserError("is not where this part belongs", entry.path, f"Make it {proper}.")
            if number in faces:
                faces[number].parts.append(value)
                faces[number].stamps.append(_stamp(entry))
    if not any_part:
        fix = "Unpack the part masks there, as 0/00000_skin.png."
        raise UserError("no part masks found", root / PARTS, fix)
    for face in faces.values():
        face.parts.sort()
        face.stamps.sort()
    return dict(sorted(faces.items()))


def _pictures(root: Path) -> list[RawFace]:
    found: dict[int, RawFace] = {}
    for entry in _entries(root, IMAGES):
        path = Path(entry.path)
        if path.suffix.lower() not in IMAGE_SUFFIXES or entry.name.startswith("."):
            continue
        if not re.fullmatch(r"[0-9]{1,5}", path.stem) or int(path.stem) >= COUNT:
            fix = f"Name pictures by their CelebA-HQ id, 0.jpg to {COUNT - 1}.jpg, or remove it."
            raise UserError(f"'{path.stem}' is no CelebA-HQ id", path, fix)
        face = RawFace(int(path.stem), path, stamps=[_stamp(entry)])
        if face.id in found:
            what = f"id {face.id} is also that of {found[face.id].image.name}"
            raise UserError(what, path, "Remove one of the two.")
        found[face.id] = face
    return list(found.values())


def _entries(root: Path, name: str) -> list[os.DirEntry[str]]:
    """The entries of a folder of the layout."""
    if not root.is_dir():
        raise UserError("no such folder", root, "Check the path.")
    if not (root / name).is_dir():
        fix = "--root is the folder that CelebAMask-HQ was unpacked to."
        inner = [path for path in sorted(root.iterdir()) if (path / name).is_dir()]
        fix = f"Did you mean --root {inner[0]}?" if inner else fix
        raise UserError(f"there is no folder {name}", root, fix)
    return list(os.scandir(root / name))


def _class_of(part: str, entry: os.DirEntry[str]) -> int:
    if part not in MASK_CLASSES[1:]:
        raise UserError(f"unknown part '{part}'", entry.path, nearest(part, MASK_CLASSES[1:]))
    return MASK_CLASSES.index(part)


def _stamp(entry: os.DirEntry[str]) -> list[str | int]:
    state = entry.stat()
    return [entry.name, state.st_size, state.st_mtime_ns]
