"""Counts, features and values of reconstructions -> result rows, as in `rows`.

The ceiling is the same figure for the pictures themselves; there is no floor.
"""

from __future__ import annotations

import numpy as np

from facecond import metrics
from facecond.evaluation import rows
from facecond.evaluation.rows import Row, counted_row, detail
from facecond.labels import ATTRIBUTES, MASK_CLASSES

FRECHET = "frechet_judge_reconstruction"
"""As in `facecond evaluate`: `frechet_judge` is the distance of samples."""


def picture_row(name: str, values: np.ndarray, seed: int) -> Row:
    """Mean of values [n], one per picture."""
    sums = np.stack([values, np.ones(len(values))], -1).astype(float)
    return rows.mean_row(name, sums, seed, ceiling=None, floor=None)


def mask_row(rebuilt: np.ndarray, originals: np.ndarray, seed: int) -> Row:
    """Row `mask_miou` from the `mask_counts` [n, 19, 2] of the parser against the truth."""
    row = counted_row("mask_miou", metrics.mean_iou, [(rebuilt, originals)], seed)
    by_class = [metrics.class_iou(counts.sum(0)) for counts in (rebuilt, originals)]
    return row | {"detail": detail(MASK_CLASSES, by_class)}


def attribute_row(rebuilt: np.ndarray, originals: np.ndarray, seed: int) -> Row | None:
    """Row `attribute_bacc` from the `attribute_counts` [n, 40, 4] of the classifier against the
    truth; None when every attribute has too few cases."""
    scored = ~np.isnan(metrics.attribute_accuracy(rebuilt.sum(0), metrics.MINIMUM_CASES))
    if not scored.any():
        return None
    names = [name for name, ok in zip(ATTRIBUTES, scored, strict=True) if ok]
    pair = rebuilt[:, scored], originals[:, scored]
    row = counted_row("attribute_bacc", metrics.balanced_accuracy, [pair], seed)
    by_name = [metrics.attribute_accuracy(counts.sum(0)) for counts in pair]
    return row | {"detail": detail(names, by_name)}


def frechet_row(
    rebuilt: np.ndarray, originals: np.ndarray, reference: np.ndarray, seed: int
) -> Row:
    """Row `FRECHET`: distance of the judge's features [n, D] to those of other real pictures
    [m, D]; the ceiling is that of the pictures themselves, and lower is better. It is made like
    rFID from another network, and is not an FID."""
    ceiling = metrics.frechet_distance(originals, reference)
    return rows.frechet_row(FRECHET, rebuilt, reference, seed, ceiling)
