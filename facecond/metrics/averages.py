"""Means over what is known."""

from __future__ import annotations

import numpy as np


def mean_of_known(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis without its NaN; NaN where nothing is known."""
    known = ~np.isnan(values)
    total, count = np.where(known, values, 0.0).sum(-1), known.sum(-1)
    return np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)
