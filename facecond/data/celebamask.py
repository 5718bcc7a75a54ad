"""CelebAMask-HQ as downloaded (`raw_layout.py`) -> prepared folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from facecond.data import raw_layout
from facecond.data.annotations import (
    read_attributes,
    read_identities,
    read_mapping,
    read_partition,
)
from facecond.data.exclusions import read_exclusions
from facecond.data.official_splits import PAPER_SPLITS, SPLIT_NAMES, celeba_split, paper_split
from facecond.data.parts import fuse_parts
from facecond.data.pictures import resize_mask, square_image
from facecond.data.prepared import PreparedFolder
from facecond.data.raw_layout import RawFace, name_of, part_path, scan_faces
from facecond.data.splits import assign_splits
from facecond.data.writing import (
    EncodedFace,
    PlannedFace,
    encode_png,
    refuse_foreign,
    write_faces,
)
from facecond.errors import UserError, nearest
from facecond.labels import MASK_CLASSES
from facecond.storage import hash_of, sha256

SKIN = MASK_CLASSES.index("skin")


@dataclass(frozen=True)
class _Item:
    """What a worker process makes a face from."""

    root: Path
    face: RawFace
    attributes: np.ndarray


def prepare_celebamask(
    root: str | Path,
    out: str | Path,
    size: int,
    split: str = "papers-27000",
    seed: int = 0,
    judges_fraction: float = 0.1,
    test_fraction: float = 0.1,
    identities: str | Path | None = None,
    workers: int | None = None,
) -> PreparedFolder:
    """Fuse the part masks, resize, and write a prepared folder; a killed run is continued.

    Args:
        root: the data set as downloaded, whole or only some ids of it.
        out: the prepared folder to make.
        size: side of the square images and masks, in pixels.
        split: a name in `official_splits.SPLIT_NAMES`.
        seed: of what is drawn: the judges' ids, or all of a random split.
        judges_fraction: share of the judges, of the training ids (paper splits) or of all (random).
        test_fraction: share of the test split (random only).
        identities: CelebA's `identity_CelebA.txt`, or CSV; None takes the file of the root, if any.
            The pictures of a person then stay in one of the splits that are drawn.
        workers: processes; None means one per core.

    Returns:
        The prepared folder. Its manifest's details name the faces without skin or with one part
        only, whose masks are suspicious, and count what was missing or excluded.

    Raises:
        UserError: anything wrong with the input; names the file.
    """
    root, out = Path(root), Path(out)
    if split not in SPLIT_NAMES:
        raise UserError(f"unknown split '{split}'", "--split", nearest(split, SPLIT_NAMES))
    refuse_foreign(out)
    left_out = {int(name) for name in read_exclusions(root) if name.isdecimal()}
    faces = scan_faces(root, left_out)
    table = _attributes(root, faces)
    own = root / raw_layout.IDENTITIES
    given = Path(identities) if identities else own if own.is_file() else None
    names = read_mapping(_needed(root, raw_layout.MAPPING)) if given or split == "celeba" else {}
    people = _identities(given, names, faces) if given else {}
    persons = {name_of(face): person for face, person in people.items()}
    drawn = {"seed": seed, "judges_fraction": judges_fraction}
    if split in PAPER_SPLITS:
        splits = paper_split(list(faces), PAPER_SPLITS[split], seed, judges_fraction, people)
    elif split == "celeba":
        partition = root / raw_layout.PARTITION
        parts = read_partition(partition) if partition.is_file() else None
        splits, drawn = celeba_split(list(faces), names, parts), {}
    else:
        listed = [face.name for face in faces.values()]
        splits = assign_splits(listed, seed, judges_fraction, test_fraction, persons)
        drawn |= {"test_fraction": test_fraction}
    details: dict[str, Any] = {
        "split": split,
        **drawn,
        "annotations": _hashes(root),
        "excluded": len(left_out),
        "without_mask": sum(not face.parts for face in faces.values()),
        "without_skin": [f.name for f in faces.values() if f.parts and SKIN not in f.parts],
        "with_one_part": [f.name for f in faces.values() if len(f.parts) == 1],
        "parts": {
            name: sum(value in face.parts for face in faces.values())
            for value, name in enumerate(MASK_CLASSES[1:], 1)
        },
    }
    if people:
        details["people_in_test_and_training"] = _shared_people(list(faces), splits, people)
    plan = {
        face.name: PlannedFace(
            _Item(root, face, table[face.id]),
            which,
            hash_of([face.stamps, table[face.id].tolist()]),
        )
        for face, which in zip(faces.values(), splits, strict=True)
    }
    encode = partial(_encode, size=size)
    write_faces(out, size, "celebamask", details, plan, encode, workers, "preparing", persons)
    return PreparedFolder.open(out)


def _needed(root: Path, name: str) -> Path:
    if not (root / name).is_file():
        raise UserError("the file is missing", root / name, "It comes with the data set: copy it.")
    return root / name


def _attributes(root: Path, faces: Mapping[int, RawFace]) -> dict[int, np.ndarray]:
    """id -> int8 [40], with a row for every face."""
    path, table = _needed(root, raw_layout.ATTRIBUTES_FILE), {}
    for name, row in read_attributes(path).items():
        if not name.isdecimal() or int(name) in table:
            what = f"'{name}.jpg' is no CelebA-HQ id, or is there twice"
            raise UserError(what, path, "Name the rows 0.jpg, 1.jpg and so on.")
        table[int(name)] = row
    if lost := [face for face in faces if face not in table]:
        what = f"has no row for {faces[lost[0]].image.name} ({len(lost)} such pictures)"
        raise UserError(what, path, "Download the file again.")
    return table


def _identities(path: Path, names: Mapping[int, str], ids: Iterable[int]) -> dict[int, str]:
    """id -> identity of the faces whose CelebA name has one."""
    given = read_identities(path)
    people = {face: given[name] for face, name in names.items() if name in given}
    if not any(face in people for face in ids):
        fix = "Name the pictures as CelebA does: 000001.jpg."
        raise UserError("names none of the pictures", path, fix)
    return people


def _shared_people(ids: list[int], splits: list[str], people: Mapping[int, str]) -> int:
    """How many people have faces both in the test split and outside it."""
    tested = {people[i] for i, s in zip(ids, splits, strict=True) if i in people and s == "test"}
    others = {people[i] for i, s in zip(ids, splits, strict=True) if i in people and s != "test"}
    return len(tested & others)


def _hashes(root: Path) -> dict[str, str]:
    """SHA-256 of the annotation files that are there."""
    files = (raw_layout.ATTRIBUTES_FILE, raw_layout.MAPPING, raw_layout.PARTITION)
    there = [file for file in (*files, raw_layout.IDENTITIES) if (root / file).is_file()]
    return {file: sha256(root / file) for file in there}


def _encode(item: _Item, size: int) -> EncodedFace:
    """Runs in a worker process."""
    face = item.face
    image, (width, height) = square_image(face.image, size)
    if width != height:
        raise UserError(f"is {width}x{height}", face.image, "Restore the square original.")
    mask = None
    if face.parts:
        fused = fuse_parts({value: part_path(item.root, face.id, value) for value in face.parts})
        mask = encode_png(resize_mask(fused, size))
    return EncodedFace(face.name, image, mask, item.attributes)
