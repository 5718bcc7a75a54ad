"""What each image contributed to the scores, kept so that runs can be resampled together.

Runs that are scored on the same conditions have the same rows, so one draw of images can be taken
from all of them: differences between models then do not carry the difficulty of the images.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facecond.evaluation.generation import Arrays
from facecond.evaluation.reference_rows import Taken
from facecond.evaluation.turned import Turned
from facecond.labels import APPEARANCE
from facecond.storage import atomic_file

if TYPE_CHECKING:
    from facecond.evaluation.protocol import Evaluation


def image_counts(found: Evaluation) -> Arrays:
    """Arrays of the first judge; those of probes that did not run are missing.

    - rows: int64 [n], conditions; the first axis of what follows
    - mask: int32 [n, 19, 2], `mask_counts`; pixels: int32 [n, 2], `pixel_counts`
    - truth: int8 [n, 40]; present: bool [n, 40]; scored: bool [40], the attributes that count
    - features: float32 [n, D]; reference_mean: float64 [D], reference_covariance: [D, D]
    - turned_places: int64 [C], conditions (places in rows) on which attributes were turned, with
      turned_change float32 [T, C, 40], turned_columns int64 [T], turned_free bool [T] (attributes
      of appearance), turned_unrelated bool [T, 40], turned_masks int32 [C, 19, 2]
    - diversity: float64 [K, 2], sum and number of the distances of the first K conditions
    - taken_METRIC: [G, ...], counts of each row on references by group of pairs, for
      `reference_rows.SCORES`
    """
    context, made = found.context, found.context.parts.made
    arrays: Arrays = {"rows": found.indices.astype(np.int64)}
    if "samples" in made:
        seen = made["samples"]
        arrays |= {
            "mask": seen["own0"].astype(np.int32),
            "pixels": seen["pixels0"].astype(np.int32),
            "truth": context.truth.astype(np.int8),
            "present": seen["present0"].astype(bool),
            "features": seen["features"].astype(np.float32),
        }
    if context.scored is not None:
        arrays["scored"] = context.scored.columns
    if "reference" in made:
        features = made["reference"]["features"].astype(np.float64)
        arrays["reference_mean"] = features.mean(0)
        arrays["reference_covariance"] = np.atleast_2d(np.cov(features, rowvar=False))
    turned = found.shows.get("selectivity")
    if isinstance(turned, Turned):
        arrays |= _turned(turned)
    taken = found.shows.get("references")
    if isinstance(taken, Taken):
        arrays |= {f"taken_{metric}": counts for metric, counts in taken.counts.items()}
    if "diversity" in made:
        apart = made["diversity"]["distances"].astype(np.float64)  # [K, pairs]
        arrays["diversity"] = np.stack([apart.sum(1), np.full(len(apart), apart.shape[1])], 1)
    return arrays


def write_counts(path: str | Path, found: Evaluation) -> None:
    """Write the arrays as one `.npz`, atomically."""
    with atomic_file(path) as temporary:
        np.savez_compressed(temporary, **image_counts(found))  # type: ignore[arg-type]


def read_counts(path: str | Path) -> Arrays:
    """What `write_counts` wrote."""
    with np.load(path, allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def _turned(turned: Turned) -> Arrays:
    free = np.array([name in APPEARANCE for name in turned.names])
    return {
        "turned_places": turned.places.astype(np.int64),
        "turned_change": turned.change.astype(np.float32),
        "turned_columns": np.array(turned.columns, np.int64),
        "turned_free": free,
        "turned_unrelated": turned.unrelated,
        "turned_masks": turned.counts[free].sum(0).astype(np.int32),
    }
