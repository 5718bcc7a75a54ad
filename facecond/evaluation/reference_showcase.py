"""Pictures that show what is taken from a reference face, and what is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from facecond.data.prepared import PreparedFolder
from facecond.evaluation.conditions import images_of, masks_of
from facecond.evaluation.reference_pairs import face_pairs
from facecond.evaluation.references import instructions, taught
from facecond.evaluation.report_parts import FromReferences, describe
from facecond.evaluation.showcase import Sampler
from facecond.figures import image_grid
from facecond.labels import ANYTHING, ATTRIBUTES, UNSPECIFIED
from facecond.models.reference import Reference
from facecond.storage import atomic_file

CASES = 6
LIMIT = 3
"""Attributes that label a case."""


def from_references(
    sample: Sampler, folder: PreparedFolder, rows: np.ndarray, seed: int
) -> FromReferences | None:
    """The first of the rows that can be paired, each with a reference: what a model takes of it
    when it is asked for its appearance and for its geometry, and both of two pictures.

    None where the model knows no references, or no row has a reference.
    """
    pipeline: Any = sample.pipeline
    pairs = face_pairs(folder, rows[: 4 * CASES], seed).first(CASES)
    if not taught(pipeline) or not len(pairs):
        return None
    count, size = len(pairs), folder.image_size
    masks, faces = masks_of(folder, pairs.targets), images_of(folder, pairs.references)
    layout, looks = pairs.asked(folder, "appearance"), pairs.asked(folder, "geometry")
    is_open = np.full((count, size, size), ANYTHING, np.uint8)
    numbers = list(range(count))

    def taken(asking: str) -> list[Reference]:
        return [
            Reference(images_of(folder, pairs.source(asking, take)), take)
            for take in instructions(pipeline, asking)
        ]

    columns: dict[str, np.ndarray] = {"without it": sample(layout, masks, numbers)}
    if appearance := taken("appearance"):
        columns["its appearance"] = sample(layout, masks, numbers, appearance)
    if both := taken("both"):
        nothing = np.full((count, len(ATTRIBUTES)), UNSPECIFIED, np.int8)
        columns["of two pictures"] = sample(nothing, is_open, numbers, both)
    if pairs.planted:
        columns["the truth"] = images_of(folder, pairs.looks)
    if geometry := taken("geometry"):
        columns["its geometry"] = sample(looks, is_open, numbers, geometry)
        if pairs.planted:
            columns["that truth"] = images_of(folder, pairs.mirrored_looks)
    real = images_of(folder, pairs.targets)
    words = [describe(values, LIMIT) for values in looks]
    return FromReferences(faces, masks, real, columns, words)


def tiles(part: FromReferences) -> tuple[list[list[np.ndarray | None]], list[str]]:
    """Rows of pictures, a case each, and the heads of the columns."""
    head = ["reference", "mask", "its face", *part.columns]
    columns = [part.references, part.masks, part.real, *part.columns.values()]
    return [list(case) for case in zip(*columns, strict=True)], head


def write_picture(path: str | Path, part: FromReferences) -> None:
    """Write the cases as one PNG, tiles of 128 pixels or of their own size."""
    rows, head = tiles(part)
    scale = max(1, 128 // part.masks.shape[-1])
    with atomic_file(path) as temporary:
        image_grid(rows, column_labels=head, scale=scale).save(temporary, "PNG")
