"""Bootstrap intervals, the way from floor to ceiling, and pairings of the floor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from facecond.seeding import numpy_generator


@dataclass(frozen=True)
class Interval:
    """Bounds of a bootstrap interval."""

    low: float
    high: float


def bootstrap_interval(
    counts: np.ndarray,
    score: Callable[[np.ndarray], np.ndarray],
    *,
    seed: int = 0,
    draws: int = 1000,
    level: float = 0.95,
) -> Interval:
    """Percentile bootstrap over images (Efron 1979).

    Args:
        counts: [N, ...] counts of each image; integers, or floats such as sums of distances.
        score: summed counts [draws, ...] -> [draws], such as `mean_iou`.
    """
    images = len(counts)
    generator = numpy_generator(seed, "bootstrap")
    weights = generator.multinomial(images, np.full(images, 1 / images), size=draws)
    resampled = weights.astype(float) @ counts.reshape(images, -1).astype(float)
    if not np.issubdtype(counts.dtype, np.floating):
        resampled = np.rint(resampled)  # sums of counts stay whole for thresholds on cases
    return percentiles(score(resampled.reshape(draws, *counts.shape[1:])), level)


def share_of_way(score: float, floor: float, ceiling: float) -> float:
    """How far from the floor (0) to the ceiling (1) a score lies; NaN when the two coincide."""
    return (score - floor) / (ceiling - floor) if ceiling != floor else float("nan")


def derangement(count: int, seed: int) -> np.ndarray:
    """A random cyclic permutation of 0..count-1, int64 [count]: nothing stays in its place."""
    if count < 2:
        raise ValueError("a derangement needs at least two items")
    order = numpy_generator(seed, "derangement").permutation(count)
    partner = np.empty(count, np.int64)
    partner[order] = np.roll(order, 1)
    return partner


def percentiles(scores: np.ndarray, level: float) -> Interval:
    """The middle `level` of scores [draws], NaN left out; NaN where nothing else is left."""
    if np.isnan(scores).all():
        return Interval(float("nan"), float("nan"))
    low, high = np.nanquantile(scores, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))
