"""Rendered faces in the layout that CelebAMask-HQ is downloaded in."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from facecond.data import raw_layout
from facecond.data.parallel import ordered_map
from facecond.data.pictures import resize_mask
from facecond.data.raw_layout import part_path
from facecond.data.rendered import render
from facecond.data.writing import encode_png
from facecond.errors import UserError
from facecond.labels import ATTRIBUTES, MASK_CLASSES, PRESENT
from facecond.seeding import numpy_generator
from facecond.storage import atomic_folder, make_folder

CELEBA_COUNT = 202_599

_UNDER = {
    "skin": ("nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "mouth", "u_lip", "l_lip"),
    "mouth": ("u_lip", "l_lip"),
}
"""A part -> later parts that it lies under: the real masks overlap, so fusing has an order."""


@dataclass(frozen=True)
class _RawFace:
    """The files of a face: JPEG, class id -> PNG, and its attributes, int8 [40]."""

    image: bytes
    parts: dict[int, bytes]
    attributes: np.ndarray


def render_celebamask(
    out: str | Path,
    count: int,
    size: int = 1024,
    seed: int = 0,
    correlated: bool = True,
    workers: int | None = None,
) -> None:
    """Render `count` faces in the raw layout of CelebAMask-HQ (`raw_layout.py`).

    Face i is `render(seed, i, size)` as a JPEG file; its part masks have half its side, as those
    of CelebAMask-HQ. The attribute file knows no gap: what a face leaves unspecified is written as
    absent. The origins in CelebA are made up: distinct numbers all over its 202,599.

    Raises:
        UserError: more than 30,000 faces, or `out` cannot be written or is not empty.
    """
    out = Path(out)
    if count > raw_layout.COUNT:
        fix = f"CelebAMask-HQ has {raw_layout.COUNT:,} ids: render fewer."
        raise UserError(f"{count} is out of range", "--count", fix)
    make_folder(out.parent)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError("is in use", out, "Choose a new folder.")
    draw = partial(_draw, seed=seed, size=size, correlated=correlated)
    origins = numpy_generator(seed, "celeba origins").permutation(CELEBA_COUNT)
    attributes = [f"{count}\n", " ".join(ATTRIBUTES) + "\n"]
    mapping = [f"{'idx':<10} {'orig_idx':<10} orig_file\n"]
    with atomic_folder(out) as folder:
        (folder / raw_layout.IMAGES).mkdir()
        for number in range(-(-count // raw_layout.PER_FOLDER)):
            (folder / raw_layout.PARTS / str(number)).mkdir(parents=True)
        faces = ordered_map(draw, range(count), workers, "rendering")
        for index, face in enumerate(faces):
            (folder / raw_layout.IMAGES / f"{index}.jpg").write_bytes(face.image)
            for value, part in face.parts.items():
                part_path(folder, index, value).write_bytes(part)
            words = ["1" if value == PRESENT else "-1" for value in face.attributes]
            attributes.append(f"{index}.jpg  {' '.join(words)}\n")
            mapping.append(f"{index:<10} {origins[index]:<10} {origins[index] + 1:06d}.jpg\n")
        (folder / raw_layout.ATTRIBUTES_FILE).write_text("".join(attributes), "utf-8")
        (folder / raw_layout.MAPPING).write_text("".join(mapping), "utf-8")


def _draw(index: int, seed: int, size: int, correlated: bool) -> _RawFace:
    """Runs in a worker process."""
    face = render(seed, index, size, correlated=correlated)
    buffer = io.BytesIO()
    Image.fromarray(face.image).save(buffer, "JPEG", quality=95, subsampling=0)
    mask = resize_mask(face.mask, size // 2)
    parts = {}
    for value, name in enumerate(MASK_CLASSES[1:], 1):
        if (mask == value).any():
            covered = [value, *(MASK_CLASSES.index(other) for other in _UNDER.get(name, ()))]
            part = np.where(np.isin(mask, covered), np.uint8(255), np.uint8(0))
            parts[value] = encode_png(np.repeat(part[..., None], 3, axis=-1))
    return _RawFace(buffer.getvalue(), parts, face.attributes)
