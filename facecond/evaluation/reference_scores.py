"""Counts of pairs of faces -> what is taken from a reference: the score of each row, and what makes
a leak of counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from facecond import metrics
from facecond.evaluation.generation import Arrays

Score = Callable[[np.ndarray], np.ndarray]

SCORES: dict[str, Score] = {
    "appearance_transfer": metrics.balanced_accuracy,
    "appearance_gain": metrics.beyond(metrics.balanced_accuracy),
    "layout_adherence": metrics.mean_iou,
    "layout_leak": metrics.beyond_chance(metrics.mean_iou),
    "layout_leak_gain": metrics.beyond_chance(metrics.mean_iou),
    "disputed_leak": metrics.ratio_of_sums,
    "disputed_gain": metrics.beyond(metrics.ratio_of_sums, -2),
    "identity_leak": metrics.ratio_of_sums,
    "identity_gain": metrics.beyond(metrics.ratio_of_sums, -2),
    "truth_distance": metrics.ratio_of_sums,
    "geometry_transfer": metrics.mean_iou,
    "geometry_gain": metrics.beyond(metrics.mean_iou),
    "appearance_adherence": metrics.balanced_accuracy,
    "appearance_leak": metrics.beyond_chance(metrics.balanced_accuracy),
    "appearance_leak_gain": metrics.beyond_chance(metrics.balanced_accuracy),
    "geometry_truth_distance": metrics.ratio_of_sums,
    "both_layout": metrics.mean_iou,
    "both_appearance": metrics.balanced_accuracy,
    "both_truth_distance": metrics.ratio_of_sums,
}
"""Score of the summed counts of each row; `_without` shares it."""
LEAKS = {
    "layout_leak": "layout_leak_gain",
    "disputed_leak": "disputed_gain",
    "identity_leak": "identity_gain",
    "appearance_leak": "appearance_leak_gain",
}
"""Leak -> the same minus what is there without the reference."""
BY_CHANCE = ("layout_leak", "appearance_leak")
"""Leaks beyond those to an unrelated face (`metrics.beyond_chance`)."""
LOWER = (*LEAKS, *LEAKS.values(), "truth_distance", "geometry_truth_distance",
         "both_truth_distance")  # fmt: skip
"""Rows that are better the lower they are."""


def leak_gains(taken: Mapping[str, Any], plain: Mapping[str, Any]) -> dict[str, Any]:
    """What the reference adds to each leak: counts with and without it, side by side."""
    gains = {}
    for leak, gain in LEAKS.items():
        if leak not in taken or isinstance(taken[leak], str):
            continue
        first, second = taken[leak][0], plain[leak][0]
        if leak in BY_CHANCE:  # what was asked is the same with and without
            both = np.concatenate([first[:, :2], second[:, :2]], 1)
        else:
            both = np.stack([first, second], 1)
        gains[gain] = both, None, None
    return gains


def with_chance(seen: Arrays, asked: np.ndarray) -> np.ndarray:
    """Mask counts for `metrics.beyond_chance`, [n, 4, 19, 2]."""
    own = np.stack([seen["reference"], seen["other_reference"]], 1)
    return np.concatenate([own, asked], 1)


def all_of_it(score: Score, asked: np.ndarray, strangers: np.ndarray) -> float:
    """The leak of a sample that is the reference.

    Args:
        asked: counts of what was asked with the reference and with another's, [n, 2, A, B].
        strangers: counts of the reference with that other's, [n, A, B].
    """
    excess = metrics.beyond(score)(asked.sum(0))
    return float(1.0 - score(strangers.sum(0)) - excess)


def cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Cosine of vectors [n, D] and how many they are, float64 [n, 2]."""
    first, second = first.astype(float), second.astype(float)
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    cosine = (first * second).sum(1) / np.maximum(lengths, 1e-12)
    return np.stack([cosine, np.ones(len(cosine))], 1)


def off(distances: np.ndarray) -> np.ndarray:
    """Distances [n] and how many they are, float64 [n, 2]."""
    return np.stack([distances.astype(float), np.ones(len(distances))], 1)
