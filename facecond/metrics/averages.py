"""Means over what is known, ratios of sums, means over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Spread:
    """One figure of several runs: `mean`, `sd` (of n - 1; NaN for one run) and `n` runs."""

    mean: float
    sd: float
    n: int


def mean_of_known(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis without its NaN; NaN where nothing is known."""
    known = ~np.isnan(values)
    total, count = np.where(known, values, 0.0).sum(-1), known.sum(-1)
    return np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)


def ratio_of_sums(counts: np.ndarray) -> np.ndarray:
    """Summed (part, whole) [..., 2] -> part / whole, float64 [...]; NaN where the whole is 0.

    A share whose counts add up over images, such as pixel accuracy from `pixel_counts`, and a
    score for `bootstrap_interval`.
    """
    part, whole = counts[..., 0].astype(float), counts[..., 1].astype(float)
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole != 0)


def spread(values: Sequence[float] | np.ndarray) -> Spread:
    """Figures of runs that differ in their seed -> mean, standard deviation, number of runs.

    It tells how far another training or another draw may land. A bootstrap interval over images
    does not hold that.
    """
    values = np.asarray(values, float)
    if values.ndim != 1 or not len(values):
        raise ValueError("a spread needs a list of figures")
    sd = float(values.std(ddof=1)) if len(values) > 1 else float("nan")
    return Spread(float(values.mean()), sd, len(values))
