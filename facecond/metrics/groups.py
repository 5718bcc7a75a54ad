"""One score for each group of faces: the audit by Male and Young."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from facecond.metrics.intervals import bootstrap_interval


@dataclass(frozen=True)
class GroupScore:
    """A score, the bounds of its 95% bootstrap interval, and the number of images it rests on."""

    score: float
    low: float
    high: float
    n: int


def group_scores(
    counts: np.ndarray,
    groups: Mapping[str, np.ndarray],
    score: Callable[[np.ndarray], np.ndarray],
    *,
    seed: int = 0,
    draws: int = 1000,
) -> dict[str, GroupScore]:
    """Score each group of images by itself.

    Args:
        counts: [n, ...] counts of each image, such as those of `mask_counts`.
        groups: name -> bool [n], which images belong to it; groups may overlap.
        score: summed counts -> figure, such as `mean_iou`.

    A small group has a wide interval and, for means over what occurs (`mean_iou`,
    `balanced_accuracy`), fewer classes or attributes that occur: two groups are comparable on the
    same classes only. An empty group has NaN for its score.
    """
    found = {}
    for name, member in groups.items():
        part = counts[np.asarray(member, bool)]
        if not len(part):
            found[name] = GroupScore(float("nan"), float("nan"), float("nan"), 0)
            continue
        interval = bootstrap_interval(part, score, seed=seed, draws=draws)
        found[name] = GroupScore(float(score(part.sum(0))), interval.low, interval.high, len(part))
    return found
