"""Attribute agreement from hits and cases of each image: balanced accuracy."""

from __future__ import annotations

import numpy as np

from facecond.labels import PRESENT, UNSPECIFIED
from facecond.metrics.averages import mean_of_known

MINIMUM_CASES = 5
"""An attribute with fewer present or fewer absent cases than this is not scored."""


def attribute_counts(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Hits and cases of each image.

    Args:
        truth: int8 [N, A], 1 present, 0 absent, -1 unspecified (counts nowhere).
        predicted: bool [N, A].

    Returns:
        int64 [N, A, 4]: (found present, present, found absent, absent). May be summed.
    """
    if truth.shape != predicted.shape:
        raise ValueError(f"attributes of shape {truth.shape} and {predicted.shape} do not match")
    present, absent = truth == PRESENT, (truth != PRESENT) & (truth != UNSPECIFIED)
    guess = predicted.astype(bool)
    return np.stack([present & guess, present, absent & ~guess, absent], -1).astype(np.int64)


def attribute_accuracy(counts: np.ndarray, minimum: int = 1) -> np.ndarray:
    """Summed counts [..., A, 4] -> (TPR + TNR) / 2, float64 [..., A]; NaN where fewer than
    `minimum` cases are present or fewer are absent."""
    counts = counts.astype(float)
    cases = np.minimum(counts[..., 1], counts[..., 3])
    total = counts[..., 1] * counts[..., 3]
    crossed = counts[..., 0] * counts[..., 3] + counts[..., 2] * counts[..., 1]
    known = cases >= max(minimum, 1)
    return np.divide(crossed, 2 * total, out=np.full_like(total, np.nan), where=known)


def balanced_accuracy(counts: np.ndarray, minimum: int = 1) -> np.ndarray:
    """Summed counts [..., A, 4] -> mean of `attribute_accuracy` over the scored attributes."""
    return mean_of_known(attribute_accuracy(counts, minimum))


def attribute_f1(counts: np.ndarray, minimum: int = 1) -> np.ndarray:
    """Summed counts [..., A, 4] -> F1 of "present", 2 TP / (2 TP + FP + FN), float64 [..., A].

    NaN where fewer than `minimum` cases are present. Unlike balanced accuracy it moves with how
    common the attribute is (a judge that always says "present" reaches 2 p / (1 + p) at a share p):
    compare it within one set of conditions only.
    """
    counts = counts.astype(float)
    found, present = counts[..., 0], counts[..., 1]
    total = found + present + counts[..., 3] - counts[..., 2]  # 2 TP + FN + FP
    known = present >= max(minimum, 1)
    return np.divide(2 * found, total, out=np.full_like(total, np.nan), where=known)
