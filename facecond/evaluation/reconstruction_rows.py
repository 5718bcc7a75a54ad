"""Counts, features and values of reconstructions -> result rows.

A row is `{metric, score, ceiling, low, high, n}`: `low` and `high` bound the 95% bootstrap interval
over the pictures; the ceiling is the same figure for the pictures themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from facecond import metrics
from facecond.labels import ATTRIBUTES, MASK_CLASSES

Row = dict[str, Any]


def mean_row(name: str, values: np.ndarray, seed: int) -> Row:
    """Mean of values [n], one per picture."""
    # The bootstrap adds whole numbers: values go in as millionths.
    counts = np.stack([np.rint(values * 1e6), np.ones(len(values))], -1).astype(np.int64)

    def score(summed: np.ndarray) -> np.ndarray:
        return summed[..., 0] / summed[..., 1] / 1e6

    interval = metrics.bootstrap_interval(counts, score, seed=seed)
    return _row(name, float(values.mean()), None, interval, len(values))


def mask_row(rebuilt: np.ndarray, originals: np.ndarray, seed: int) -> Row:
    """Row `mask_miou` from the `mask_counts` [n, 19, 2] of the parser against the truth."""
    score, ceiling = (float(metrics.mean_iou(c.sum(0))) for c in (rebuilt, originals))
    interval = metrics.bootstrap_interval(rebuilt, metrics.mean_iou, seed=seed)
    detail = _by_name(MASK_CLASSES, *(metrics.class_iou(c.sum(0)) for c in (rebuilt, originals)))
    return _row("mask_miou", score, ceiling, interval, len(rebuilt)) | {"detail": detail}


def attribute_row(rebuilt: np.ndarray, originals: np.ndarray, seed: int) -> Row | None:
    """Row `attribute_bacc` from the `attribute_counts` [n, 40, 4] of the classifier against the
    truth; None when every attribute has too few cases."""
    scored = ~np.isnan(metrics.attribute_accuracy(rebuilt.sum(0), metrics.MINIMUM_CASES))
    if not scored.any():
        return None
    names = [name for name, ok in zip(ATTRIBUTES, scored, strict=True) if ok]
    counts = [c[:, scored] for c in (rebuilt, originals)]
    score, ceiling = (float(metrics.balanced_accuracy(c.sum(0))) for c in counts)
    interval = metrics.bootstrap_interval(counts[0], metrics.balanced_accuracy, seed=seed)
    detail = _by_name(names, *(metrics.attribute_accuracy(c.sum(0)) for c in counts))
    return _row("attribute_bacc", score, ceiling, interval, len(rebuilt)) | {"detail": detail}


def frechet_row(
    rebuilt: np.ndarray, originals: np.ndarray, reference: np.ndarray, seed: int
) -> Row:
    """Row `frechet_judge`: distance of the judge's features [n, D] to those of other real pictures
    [m, D]; the ceiling is that of the pictures themselves, and lower is better. It is made like
    rFID from another network, and is not an FID."""
    score, ceiling = (metrics.frechet_distance(f, reference) for f in (rebuilt, originals))
    interval = metrics.frechet_interval(rebuilt, reference, seed=seed)
    row = _row("frechet_judge", score, ceiling, interval, len(rebuilt))
    return row | {"reference_n": len(reference)}


def _row(
    name: str, score: float, ceiling: float | None, interval: metrics.Interval, count: int
) -> Row:
    return {
        "metric": name,
        "score": score,
        "ceiling": ceiling,
        "low": interval.low,
        "high": interval.high,
        "n": count,
    }


def _by_name(
    names: Sequence[str], score: np.ndarray, ceiling: np.ndarray
) -> dict[str, dict[str, float | None]]:
    """Score and ceiling by name; names that occur in neither are left out."""
    plain = [[None if np.isnan(v) else float(v) for v in part] for part in (score, ceiling)]
    return {
        name: {"score": own, "ceiling": other}
        for name, own, other in zip(names, *plain, strict=True)
        if own is not None or other is not None
    }
