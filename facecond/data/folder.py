"""Any folder of images, masks and a table -> prepared folder.

ROOT/images/NAME.jpg|png|...   any size; cropped to the central square
ROOT/masks/NAME.png            8-bit class ids, same aspect ratio as the image; may be missing
ROOT/attributes.csv            or the only .csv file there: see `table.py`; may be missing
ROOT/excluded.txt              names to leave out; may be missing
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from facecond.data.annotations import read_identities
from facecond.data.exclusions import read_exclusions
from facecond.data.label_map import LabelMap, label_map
from facecond.data.pictures import square_image, square_mask
from facecond.data.prepared import PreparedFolder
from facecond.data.splits import assign_splits
from facecond.data.table import IMAGE_SUFFIXES, FaceTable, find_table, read_table
from facecond.data.writing import (
    EncodedFace,
    PlannedFace,
    encode_png,
    refuse_foreign,
    write_faces,
)
from facecond.errors import UserError
from facecond.labels import ATTRIBUTES, UNSPECIFIED
from facecond.storage import hash_of


@dataclass(frozen=True)
class _Source:
    """The files of one face, as found."""

    image: Path
    mask: Path | None
    attributes: np.ndarray

    def stamps(self) -> list[Any]:
        """What tells whether the face is still made from the same: files, times, attributes."""
        files = [path for path in (self.image, self.mask) if path is not None]
        states = [(path.name, path.stat()) for path in files]
        return [
            [[name, state.st_size, state.st_mtime_ns] for name, state in states],
            self.attributes.tolist(),
        ]


def prepare_folder(
    root: str | Path,
    out: str | Path,
    size: int,
    label_order: str = "celebamask",
    seed: int = 0,
    judges_fraction: float = 0.2,
    test_fraction: float = 0.1,
    test_with_attributes: bool = False,
    identities: str | Path | None = None,
    workers: int | None = None,
) -> PreparedFolder:
    """Read, check, crop and resize a folder of faces into a prepared folder.

    A run that was killed is continued.

    Args:
        root: folder with images/ and, where known, masks/ and a table.
        out: the prepared folder to make.
        size: side of the square images, in pixels.
        label_order: key of `labels.LABEL_ORDERS` or a mapping file (`label_map.py`); masks are
            written in CelebAMask-HQ's order.
        seed: of the splits. A `split` column of the table decides instead; else an `identity`
            column, or the file of identities, keeps the images of a person in one split.
        judges_fraction: share of the faces for the judges' split.
        test_fraction: share of the faces for the test split.
        test_with_attributes: the test split holds only faces whose 40 attributes are all known;
            the judges get their share of the others that are.
        identities: lines `NAME ID`, as CelebA's `identity_CelebA.txt`, or CSV `name,identity`.
        workers: processes; None means one per core.

    Returns:
        The prepared folder; its manifest's details count what was missing or excluded.

    Raises:
        UserError: anything wrong with the input; names the file. Then nothing is written.
    """
    root, out = Path(root), Path(out)
    labels = label_map(label_order)
    refuse_foreign(out)
    excluded = read_exclusions(root)
    sources, table = _scan(root, excluded)
    people = _people(table, Path(identities), sources) if identities else table.identities
    names = list(sources)
    if table.splits:
        splits = [_given_split(table, name) for name in names]
    else:
        complete = np.array([(face.attributes != UNSPECIFIED).all() for face in sources.values()])
        may_test = complete if test_with_attributes else None
        splits = assign_splits(names, seed, judges_fraction, test_fraction, people, may_test)
    details: dict[str, Any] = {
        "seed": seed,
        "label_order_read": labels.name,
        "labels_read": labels.named(),
        "attribute_columns": table.columns,
        "without_mask": sum(face.mask is None for face in sources.values()),
        "without_attributes": sum(name not in table.attributes for name in names),
        "without_identity": sum(not people.get(name) for name in names),
        "excluded": len(excluded),
    }
    if test_with_attributes:
        details["test_with_attributes"] = True
    meanings = labels.classes.tolist()
    plan = {
        name: PlannedFace(face, split, hash_of([face.stamps(), meanings]))
        for (name, face), split in zip(sources.items(), splits, strict=True)
    }
    encode = partial(_encode, size=size, labels=labels)
    write_faces(out, size, "folder", details, plan, encode, workers, "preparing", people)
    return PreparedFolder.open(out)


def _scan(root: Path, excluded: Collection[str]) -> tuple[dict[str, _Source], FaceTable]:
    """Find the files and match them by name, without the excluded names; sorted by name."""
    if not root.is_dir():
        raise UserError("no such folder", root, "Check the path.")
    images = _by_name(root / "images", IMAGE_SUFFIXES, excluded)
    if not images:
        fix = f"Put the pictures ({', '.join(IMAGE_SUFFIXES)}) there."
        raise UserError("no images found", root / "images", fix)
    masks = _by_name(root / "masks", IMAGE_SUFFIXES, excluded)
    for name, path in masks.items():
        if name not in images:
            _refuse_unread(root / "images", name)
            fix = "Give masks the names of their images, as masks/NAME.png."
            raise UserError(f"no image images/{name}.* for this mask", path, fix)
    path_of_table = find_table(root)
    table = read_table(path_of_table) if path_of_table else FaceTable()
    lost = [name for name in table.lines if name not in images and name not in excluded]
    if lost:
        for name in lost:
            _refuse_unread(root / "images", name)
        where = f"{table.path}, line {table.lines[lost[0]]}"
        what = f"no image for '{lost[0]}' ({len(lost)} such rows; images are named like '{{}}')"
        raise UserError(what.format(next(iter(images))), where, "Correct or remove the rows.")
    unknown = np.full(len(ATTRIBUTES), UNSPECIFIED, np.int8)
    sources = {
        name: _Source(path, masks.get(name), table.attributes.get(name, unknown))
        for name, path in images.items()
    }
    return sources, table


def _by_name(folder: Path, suffixes: tuple[str, ...], excluded: Collection[str]) -> dict[str, Path]:
    """Files of a folder with these suffixes, by name without suffix, sorted; {} if no folder."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        is_hidden = path.name.startswith(".")
        if path.suffix.lower() not in suffixes or is_hidden or path.stem in excluded:
            continue
        if path.stem in found:
            what = f"'{path.stem}' is also the name of {found[path.stem].name}"
            raise UserError(what, path, "Rename or remove one of the two.")
        found[path.stem] = path
    return found


def _refuse_unread(folder: Path, name: str) -> None:
    """Raise `UserError` if a face has a file that no reader takes for a picture."""
    for path in sorted(folder.iterdir()):
        if path.stem == name and not path.name.startswith("."):
            fix = f"Save it as one of {', '.join(IMAGE_SUFFIXES)}."
            raise UserError(f"pictures of the kind '{path.suffix}' are not read", path, fix)


def _given_split(table: FaceTable, name: str) -> str:
    if name not in table.splits:
        fix = "Give every image a row, or remove the column 'split'."
        raise UserError(f"gives no split for the image '{name}'", table.path or "table", fix)
    return table.splits[name]


def _people(table: FaceTable, path: Path, sources: Collection[str]) -> dict[str, str]:
    """name -> identity, from the file of identities."""
    if table.identities:
        fix = "Remove the column, or leave out --identities."
        raise UserError("has a column 'identity' too", table.path or "table", fix)
    people = read_identities(path)
    if not any(name in people for name in sources):
        example = next(iter(sources))
        raise UserError(f"names none of the images, such as '{example}'", path, "Use their names.")
    return people


def _encode(face: _Source, size: int, labels: LabelMap) -> EncodedFace:
    """Runs in a worker process."""
    image, shape = square_image(face.image, size)
    mask = None
    if face.mask is not None:
        mask = encode_png(square_mask(face.mask, size, labels, shape))
    return EncodedFace(face.image.stem, image, mask, face.attributes)
