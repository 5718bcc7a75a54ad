"""Measurements -> scores by source, layer and bin of noise levels, with what chance gives.

swap                 share of the effect of a swap at all layers that a layer has; mean of both
                     directions, one layer swapped and all but one (see `swap.py`)
swap_single,         the two by themselves; the control of the first is the sham swap
swap_all_but_one
contribution         ||u|| / ||h||
contribution_change  how far the condition of another face moves u, as a share of ||h||; its
                     control is how far another instance of the same level moves it
jsd_ratio, omega2    where the level shows in self-attention (`factorial.py`), which need not be
                     where it is injected; `_cross`: in the queries of cross-attention

`swap` takes its test from `swap_single`, `contribution` from `contribution_change`: a layer that
contributes the same whatever the condition says contributes nothing of the source.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from facecond import metrics

Arrays = dict[str, np.ndarray]

PRIMARY = "swap"


@dataclass
class Score:
    """One score of every source at every layer.

    Attributes:
        cells: float [S, L, T].
        overall: float [S, L], over all bins.
        null: what chance gives.
        lower: whether lower values are the more sensitive ones.
        p, q, p95, control, low, high: of the cells, where there are any.
        overall_p, overall_q, overall_low, overall_high: of the layers.
        split_half: [S]; NaN where there is no order to compare.
    """

    cells: np.ndarray
    overall: np.ndarray
    null: float = 0.0
    lower: bool = False
    p: np.ndarray | None = None
    q: np.ndarray | None = None
    p95: np.ndarray | None = None
    control: np.ndarray | None = None
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    overall_p: np.ndarray | None = None
    overall_q: np.ndarray | None = None
    overall_low: np.ndarray | None = None
    overall_high: np.ndarray | None = None
    split_half: np.ndarray = field(default_factory=lambda: np.zeros(0))

    @property
    def strength(self) -> np.ndarray:
        """Distance from the null on the side that counts, [S, L, T]: what heatmaps show."""
        return (self.null - self.cells) if self.lower else (self.cells - self.null)


def intervention_scores(measured: Arrays, live: np.ndarray, seed: int) -> dict[str, Score]:
    """Scores of the interventions.

    Args:
        measured: `Swapper.measure` of all faces and bins: [n, T, L, S], `whole` [n, T, S, 2].
        live: bool [S, L, T], whether a cell has a gate other than 0.
        seed: of the bootstrap, the null and the halves.
    """
    by_cell = {
        name: np.moveaxis(values, (1, 2, 3), (3, 2, 1))  # [n, S, L, T]
        for name, values in measured.items()
        if name != "whole"
    }
    whole = np.moveaxis(measured["whole"].mean(-1), 1, 2)[:, :, None]  # [n, S, 1, T]
    weights = metrics.resampled(len(whole), seed=seed)
    both = (by_cell["single"] + by_cell["all_but_one"]) / 2

    def shares(part: np.ndarray, average: np.ndarray) -> np.ndarray:
        """part [n, S, L, T] under weights of images [..., n] -> [..., S, L, T]."""
        return metrics.share_of_whole(
            np.tensordot(average, part, 1), np.tensordot(average, whole, 1)
        )

    def means(part: np.ndarray, average: np.ndarray) -> np.ndarray:
        return np.tensordot(average, part, 1)

    even = np.full(len(whole), 1 / len(whole))
    scale = means(whole, even)
    single, sham = (
        metrics.share_of_whole(by_cell[name], scale[None]) for name in ("single", "sham")
    )
    kept, moved, again = (by_cell[name] for name in ("contribution", "change", "sham_change"))
    found = {
        "swap": _bootstrapped(both, shares, weights, live, seed),
        "swap_single": _tested(single, sham, live, seed),
        "swap_all_but_one": _plain(shares(by_cell["all_but_one"], even)),
        "contribution": _bootstrapped(kept, means, weights, live, seed),
        "contribution_change": _tested(moved, again, live, seed),
    }
    for name, test in (("swap", "swap_single"), ("contribution", "contribution_change")):
        for part in ("p", "q", "overall_p", "overall_q"):
            setattr(found[name], part, getattr(found[test], part))
    return found


def _plain(cells: np.ndarray) -> Score:
    return Score(cells, cells.mean(-1))


def _bootstrapped(
    part: np.ndarray,
    score: Callable[[np.ndarray, np.ndarray], np.ndarray],
    weights: np.ndarray,
    live: np.ndarray,
    seed: int,
) -> Score:
    """A score of images [n, S, L, T] with its bootstrap interval and its split halves."""
    images = len(part)
    found = _plain(score(part, np.full(images, 1 / images)))
    draws = score(part, weights)  # [draws, S, L, T]
    found.low, found.high = np.quantile(draws, [0.025, 0.975], axis=0)
    found.overall_low, found.overall_high = np.quantile(draws.mean(-1), [0.025, 0.975], axis=0)
    halves = []
    for s in range(part.shape[1]):
        layers = np.flatnonzero(live[s].any(-1))

        def of_half(images_in: np.ndarray, s: int = s, layers: np.ndarray = layers) -> np.ndarray:
            average = np.zeros(images)
            average[images_in] = 1 / len(images_in)
            return score(part, average)[s, layers].mean(-1)

        halves.append(metrics.split_half(of_half, images, seed=seed))
    found.split_half = np.array(halves)
    return found


def _tested(other: np.ndarray, sham: np.ndarray, live: np.ndarray, seed: int) -> Score:
    """Effects [n, S, L, T] of another level and of a sham, tested against each other."""
    cells = metrics.paired_test(other, sham, seed=seed)
    layers = metrics.paired_test(other.mean(-1), sham.mean(-1), seed=seed)
    found = _plain(cells.score)
    found.control, found.p95 = sham.mean(0), cells.p95
    found.p, found.q = corrected(cells.p, live)
    found.overall_p, found.overall_q = corrected(layers.p, np.any(live, -1))
    return found


def corrected(p: np.ndarray, live: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """p and q; a cell that no gate opens is no test and has 1."""
    q = metrics.benjamini_hochberg(np.where(live, p, np.nan))
    return np.where(live, p, 1.0), np.where(live, q, 1.0)
