"""Nearest neighbours between feature sets, block by block, and the memorisation check."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from facecond.metrics.intervals import Interval, percentiles
from facecond.seeding import numpy_generator

_BLOCK = 2**23
"""Most distances held at a time (64 MB)."""


@dataclass(frozen=True)
class Memorisation:
    """Distances of samples to the training pictures, beside those of held-out real pictures.

    `share`: samples nearer to a training picture than `threshold`, in [0, 1]; `expected`: that
    share for new pictures of the same distribution; `threshold`: a low quantile of the held-out
    distances; `median` and `held_out_median` of both sets of distances.
    """

    share: float
    expected: float
    threshold: float
    median: float
    held_out_median: float


def nearest(features: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest row of `reference` [m, D] for each row of `features` [n, D].

    Returns:
        Euclidean distances float64 [n] (exactly 0 for a copy) and rows int64 [n]; of rows that
        are equally near, any.
    """
    rows = np.concatenate([d.argmin(1) for _, d in squared_distances(features, reference)])
    distances = [
        np.linalg.norm(np.asarray(features[part], np.float64) - reference[rows[part]], axis=1)
        for part in _parts(len(rows), features.shape[1])
    ]  # the products behind the search lose digits: what is reported is the difference itself
    return np.concatenate(distances), rows.astype(np.int64)


def memorisation(samples: np.ndarray, held_out: np.ndarray, quantile: float = 0.01) -> Memorisation:
    """Are samples nearer to the training set than new pictures are?

    Args:
        samples: distances [n] of generated pictures to their nearest training picture (`nearest`).
        held_out: distances [m] of real pictures that the model never saw, to the same pictures.
        quantile: which of the held-out distances is the threshold: the j-th smallest, where
            j = floor(quantile (m + 1)), at least 1.

    A new picture is nearer than the j-th smallest of m distances with probability j / (m + 1),
    whatever their distribution: that is `expected` (more than `quantile` where m < 1 / quantile -
    1). A share far above it speaks of copies; one below it speaks of samples far from all real
    pictures, which is no virtue. More training pictures bring both sets nearer: compare models on
    one training set only. Held-out pictures of people who are also in the training set hide copies.
    """
    if not len(samples) or not len(held_out):
        raise ValueError("the memorisation check needs samples and held-out pictures")
    place = _threshold_place(len(held_out), quantile)
    threshold = float(np.partition(held_out, place - 1)[place - 1])
    return Memorisation(
        share=float((samples < threshold).mean()),
        expected=place / (len(held_out) + 1),
        threshold=threshold,
        median=float(np.median(samples)),
        held_out_median=float(np.median(held_out)),
    )


def memorisation_interval(
    samples: np.ndarray,
    held_out: np.ndarray,
    quantile: float = 0.01,
    *,
    seed: int = 0,
    draws: int = 1000,
    level: float = 0.95,
) -> Interval:
    """Percentile bootstrap of `Memorisation.share` over both sets of distances: the threshold is
    one of few held-out distances, and moves with them."""
    generator = numpy_generator(seed, "bootstrap", "memorisation")
    place = _threshold_place(len(held_out), quantile)
    shares = np.empty(draws)
    for draw in range(draws):
        new = held_out[generator.integers(len(held_out), size=len(held_out))]
        threshold = np.partition(new, place - 1)[place - 1]
        own = samples[generator.integers(len(samples), size=len(samples))]
        shares[draw] = (own < threshold).mean()
    return percentiles(shares, level)


def _threshold_place(held_out: int, quantile: float) -> int:
    return max(int(quantile * (held_out + 1) + 1e-9), 1)


def squared_distances(
    features: np.ndarray, reference: np.ndarray
) -> Iterator[tuple[slice, np.ndarray]]:
    """Rows of `features` [n, D] and their squared distances to `reference` [m, D], float64
    [rows, m], block by block. Rounding may leave a copy a little above or below 0."""
    if features.ndim != 2 or reference.ndim != 2 or features.shape[1] != reference.shape[1]:
        raise ValueError(f"features of shape {features.shape} and {reference.shape} do not match")
    centre = np.asarray(reference, np.float64).mean(0)  # |x|^2 - 2 x.y + |y|^2 loses fewer digits
    y = np.asarray(reference, np.float64) - centre
    y_norm = (y * y).sum(1)
    for part in _parts(len(features), len(reference)):
        x = np.asarray(features[part], np.float64) - centre
        distances = (-2 * x) @ y.T
        distances += (x * x).sum(1)[:, None]
        distances += y_norm
        yield part, distances


def _parts(count: int, width: int) -> Iterator[slice]:
    rows = max(1, _BLOCK // max(width, 1))
    return (slice(start, start + rows) for start in range(0, count, rows))
