"""Leaks: what a sample shares with a face that it was not to share it with.

Agreement with another face is not a leak by itself: two masks of faces always have much in common.
It is one as far as it goes beyond the agreement of what was *asked* with that face. Errors of the
sample, or of who reads it, lower the agreement with all faces alike; so both are taken beyond their
agreement with a face that has nothing to do with the sample.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from facecond.labels import ANYTHING

Score = Callable[[np.ndarray], np.ndarray]


def disputed_counts(asked: np.ndarray, other: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Pixels where two masks disagree, and how many of them are seen as the second has them.

    Args:
        asked, other: uint8 [N, H, W]; pixels of 255 (anything) count nowhere.
        seen: uint8 [N, H, W], read from a picture.

    Returns:
        int64 [N, 2]: (seen as `other`, disputed). `ratio_of_sums` of the sum is the share.
    """
    if not asked.shape == other.shape == seen.shape:
        shapes = asked.shape, other.shape, seen.shape
        raise ValueError(f"masks of shapes {shapes} do not match")
    disputed = (asked != other) & (asked != ANYTHING) & (other != ANYTHING)
    taken = disputed & (seen == other)
    return np.stack([taken.sum((1, 2)), disputed.sum((1, 2))], -1).astype(np.int64)


def beyond(score: Score, axis: int = -3) -> Score:
    """A score of summed counts -> the same of two of them side by side, the score of the first
    minus that of the second, so that a bootstrap draws both together.

    Args:
        score: of counts [..., A, B], or [..., B] with an axis of -2.
        axis: of the two.
    """
    return lambda counts: score(counts.take(0, axis)) - score(counts.take(1, axis))


def beyond_chance(score: Score) -> Score:
    """A score of summed counts [..., A, B] -> the same of [..., 4, A, B]: the first beyond the
    second, beyond what the third is beyond the fourth.

    For a leak: the sample with the reference, the sample with an unrelated face, what was asked
    with the reference, what was asked with that face.
    """
    excess = beyond(score)
    return lambda counts: excess(counts[..., :2, :, :]) - excess(counts[..., 2:, :, :])


def by_group(counts: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Counts [N, ...] summed within groups (int64 [N], any numbers) -> [G, ...], so that a
    bootstrap draws whole groups: faces that share a factor are not independent."""
    _, places = np.unique(groups, return_inverse=True)
    summed = np.zeros((places.max() + 1, *counts.shape[1:]), counts.dtype)
    np.add.at(summed, places, counts)
    return summed
