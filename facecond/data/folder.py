"""Any folder of images, masks and a table -> prepared folder.

ROOT/images/NAME.jpg|png|...   any size; cropped to the central square
ROOT/masks/NAME.png            8-bit class ids, same aspect ratio as the image; may be missing
ROOT/attributes.csv            or the only .csv file there: see `table.py`; may be missing
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from facecond.data.parallel import ordered_map
from facecond.data.pictures import square_image, square_mask
from facecond.data.prepared import (
    EncodedFace,
    PreparedFolder,
    PreparedWriter,
    encode_png,
    refuse_foreign,
)
from facecond.data.splits import assign_splits
from facecond.data.table import IMAGE_SUFFIXES, FaceTable, find_table, read_table
from facecond.errors import UserError, nearest
from facecond.labels import ATTRIBUTES, LABEL_ORDERS, UNSPECIFIED


@dataclass(frozen=True)
class _Source:
    """The files of one face, as found."""

    image: Path
    mask: Path | None
    attributes: np.ndarray


def prepare_folder(
    root: str | Path,
    out: str | Path,
    size: int,
    label_order: str = "celebamask",
    seed: int = 0,
    judges_fraction: float = 0.2,
    test_fraction: float = 0.1,
    test_with_attributes: bool = False,
    workers: int | None = None,
) -> PreparedFolder:
    """Read, check, crop and resize a folder of faces into a prepared folder.

    Args:
        root: folder with images/ and, where known, masks/ and a table.
        out: the prepared folder to make.
        size: side of the square images, in pixels.
        label_order: key of `labels.LABEL_ORDERS`; masks are written in CelebAMask-HQ's order.
        seed: of the splits. A `split` column of the table decides instead; else an `identity`
            column keeps the images of a person in one split.
        judges_fraction: share of the faces for the judges' split.
        test_fraction: share of the faces for the test split.
        test_with_attributes: the test split holds only faces whose 40 attributes are all known.
        workers: processes; None means one per core.

    Returns:
        The prepared folder; its manifest's details count what was missing.

    Raises:
        UserError: anything wrong with the input; names the file. Then nothing is written.
    """
    root, out = Path(root), Path(out)
    if label_order not in LABEL_ORDERS:
        raise UserError(
            f"unknown label order '{label_order}'", "--labels", nearest(label_order, LABEL_ORDERS)
        )
    refuse_foreign(out)
    sources, table = _scan(root)
    names = list(sources)
    if table.splits:
        splits = [_given_split(table, name) for name in names]
    else:
        complete = np.array([(face.attributes != UNSPECIFIED).all() for face in sources.values()])
        may_test = complete if test_with_attributes else None
        splits = assign_splits(
            names, seed, judges_fraction, test_fraction, table.identities, may_test
        )
    details = {
        "seed": seed,
        "label_order_read": label_order,
        "attribute_columns": table.columns,
        "without_mask": sum(face.mask is None for face in sources.values()),
    }
    encode = partial(_encode, size=size, label_order=label_order)
    with PreparedWriter(out, size, "folder", details) as writer:
        encoded = ordered_map(encode, list(sources.values()), workers, "preparing")
        for face, split in zip(encoded, splits, strict=True):
            writer.add_encoded(face, split)
    return PreparedFolder.open(out)


def _scan(root: Path) -> tuple[dict[str, _Source], FaceTable]:
    """Find the files and match them by name; sorted by name."""
    if not root.is_dir():
        raise UserError("no such folder", root, "Check the path.")
    images = _by_name(root / "images", IMAGE_SUFFIXES)
    if not images:
        fix = f"Put the pictures ({', '.join(IMAGE_SUFFIXES)}) there."
        raise UserError("no images found", root / "images", fix)
    masks = _by_name(root / "masks", IMAGE_SUFFIXES)
    for name, path in masks.items():
        if name not in images:
            fix = "Give masks the names of their images, as masks/NAME.png."
            raise UserError(f"no image images/{name}.* for this mask", path, fix)
    path_of_table = find_table(root)
    table = read_table(path_of_table) if path_of_table else FaceTable()
    lost = [name for name in table.lines if name not in images]
    if lost:
        where = f"{table.path}, line {table.lines[lost[0]]}"
        what = f"no image for '{lost[0]}' ({len(lost)} such rows; images are named like '{{}}')"
        raise UserError(what.format(next(iter(images))), where, "Correct or remove the rows.")
    unknown = np.full(len(ATTRIBUTES), UNSPECIFIED, np.int8)
    sources = {
        name: _Source(path, masks.get(name), table.attributes.get(name, unknown))
        for name, path in images.items()
    }
    return sources, table


def _by_name(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """Files of a folder with these suffixes, by name without suffix, sorted; {} if no folder."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix.lower() not in suffixes or path.name.startswith("."):
            continue
        if path.stem in found:
            what = f"'{path.stem}' is also the name of {found[path.stem].name}"
            raise UserError(what, path, "Rename or remove one of the two.")
        found[path.stem] = path
    return found


def _given_split(table: FaceTable, name: str) -> str:
    if name not in table.splits:
        fix = "Give every image a row, or remove the column 'split'."
        raise UserError(f"gives no split for the image '{name}'", table.path or "table", fix)
    return table.splits[name]


def _encode(face: _Source, size: int, label_order: str) -> EncodedFace:
    """Runs in a worker process."""
    image, shape = square_image(face.image, size)
    mask = None
    if face.mask is not None:
        mask = encode_png(square_mask(face.mask, size, label_order, shape))
    return EncodedFace(face.image.stem, image, mask, face.attributes)
