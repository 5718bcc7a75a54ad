"""Selectivity of an edit: what it was meant to change, and what changed besides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Selectivity:
    """`target_effect` in [-1, 1], `off_target_effect` in [0, 1], and `ratio`, the first over the
    second: infinite where nothing else moved, NaN where nothing moved or nothing else is scored."""

    target_effect: float
    off_target_effect: float
    ratio: float


def selectivity(off: np.ndarray, on: np.ndarray, target: int, scored: np.ndarray) -> Selectivity:
    """Turn one attribute off and on at fixed mask and seed: what does the judge see change?

    Args:
        off: float [n, A], the judge's probabilities with the attribute asked to be absent.
        on: float [n, A], the same rows with it asked to be present.
        target: index of the attribute that was turned.
        scored: bool [A], attributes that the judge can be trusted with.

    target_effect = mean(on - off)[target]; off_target_effect = mean over the other scored
    attributes of |mean(on - off)|. Means over n come first, so that changes without direction
    cancel; what is left of them makes the off-target effect too high by about 0.8 sd / sqrt(n).
    Attributes that belong together in the data (a beard and Male) count as off-target: a judge that
    confuses them does so on real pictures, too. For an interval bootstrap the rows of `on - off`.
    """
    if off.shape != on.shape or scored.shape != off.shape[1:]:
        raise ValueError(f"shapes {off.shape}, {on.shape} and {scored.shape} do not match")
    change = (np.asarray(on, np.float64) - np.asarray(off, np.float64)).mean(0)  # [A]
    others = scored.astype(bool).copy()
    others[target] = False
    wanted = float(change[target])
    unwanted = float(np.abs(change[others]).mean()) if others.any() else float("nan")
    with np.errstate(divide="ignore", invalid="ignore"):
        return Selectivity(wanted, unwanted, float(np.float64(wanted) / unwanted))
