"""Which layers answer to a source: tests, error bars and rankings of scores by layer.

A score of an intervention (a swap of keys and values) is tested against a *sham*: the same swap
with another instance of the same level. Under the null the two are exchangeable within each image.
Scores of representations are tested against permuted labels, see `factorial.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from facecond.seeding import numpy_generator

DRAWS = 1000
SIGNIFICANT = 0.05
STABLE = 0.7
"""Split-half Spearman correlation below which a ranking is called unstable."""


@dataclass(frozen=True)
class ScoreTest:
    """Scores [...] with what chance gives: `p` is the share of the null that is at least as far on
    the side that counts, `p95` the score that the null passes in one case of twenty."""

    score: np.ndarray
    p: np.ndarray
    p95: np.ndarray


def paired_test(
    other: np.ndarray, sham: np.ndarray, *, seed: int = 0, draws: int = DRAWS
) -> ScoreTest:
    """Is the effect of another level larger than that of another instance of the same level?

    Args:
        other, sham: float [n, ...], effects on each image.

    Returns:
        Mean over images of `other`, and the null in which the two trade places in each image at
        random (a sign-flip test of their difference, one-sided). A cell in which nothing moved has
        p = 1.
    """
    middle, half = (other + sham) / 2, (other - sham) / 2
    signs = numpy_generator(seed, "sham").choice([-1.0, 1.0], (draws, len(other)))
    flipped = np.tensordot(signs, half, 1) / len(other)  # [draws, ...]
    p = tail(flipped, half.mean(0))
    return ScoreTest(other.mean(0), p, middle.mean(0) + np.quantile(flipped, 0.95, axis=0))


def tail(null: np.ndarray, score: np.ndarray, resolution: float = 0.0) -> np.ndarray:
    """p-value of scores [...] under draws of the null [draws, ...]; large scores count. The score
    itself is one of the draws (Phipson & Smyth 2010), so no p is 0. Scores within `resolution` of
    each other count as equal."""
    tolerance = 1e-12 * np.maximum(np.abs(score), np.abs(null).max(0, initial=0.0))
    near = score - np.maximum(tolerance, resolution)
    return (1 + (null >= near).sum(0)) / (1 + len(null))


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """q-values of p-values of any shape: the false discovery rate at which each would be called
    significant (Benjamini & Hochberg 1995). NaN is no test and stays NaN."""
    q = np.full(np.shape(p), np.nan)
    known = np.isfinite(p)
    values = np.asarray(p, float)[known]
    order = np.argsort(values)[::-1]  # largest first
    count = len(values)
    raw = values[order] * count / np.arange(count, 0, -1)
    adjusted = np.empty(count)
    adjusted[order] = np.minimum(np.minimum.accumulate(raw), 1.0)
    q[known] = adjusted
    return q


def share_of_whole(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, 0 where the whole is 0: a source that does nothing has no share of it."""
    part, whole = np.broadcast_arrays(np.asarray(part, float), np.asarray(whole, float))
    return np.divide(part, whole, out=np.zeros(part.shape), where=whole != 0)


def resampled(images: int, *, seed: int = 0, draws: int = DRAWS) -> np.ndarray:
    """Weights of a bootstrap over images, float [draws, images], each row of sum 1."""
    generator = numpy_generator(seed, "bootstrap")
    return generator.multinomial(images, np.full(images, 1 / images), size=draws) / images


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    """Rank correlation of two lists, ties at their mean rank; NaN when one of them is constant."""
    ranks = np.stack([_ranks(first), _ranks(second)])
    ranks -= ranks.mean(1, keepdims=True)
    scale = np.sqrt((ranks**2).sum(1).prod())
    return float((ranks[0] * ranks[1]).sum() / scale) if scale else float("nan")


def split_half(
    scores: Callable[[np.ndarray], np.ndarray], units: int, *, seed: int = 0, splits: int = 20
) -> float:
    """Do two halves of the measurements rank the layers alike?

    Args:
        scores: places of some units (images or seeds), int64 [k] -> scores [L] from these alone.
        units: how many there are.

    Returns:
        Mean Spearman correlation over random halves; NaN where there is no order to compare: less
        than two units or layers, or constant scores.
    """
    if units < 2 or len(scores(np.arange(units))) < 2:
        return float("nan")
    found = []
    for split in range(splits):
        order = numpy_generator(seed, "halves", split).permutation(units)
        halves = np.sort(order[: units // 2]), np.sort(order[units // 2 :])
        found.append(spearman(*map(scores, halves)))
    known = np.array([value for value in found if np.isfinite(value)])
    return float(known.mean()) if len(known) else float("nan")


def ranking(
    scores: np.ndarray, q: np.ndarray | None = None, level: float = SIGNIFICANT
) -> list[int]:
    """Places of scores [L], best first, ties in their order; with `q` only those that beat their
    control at this rate of false discoveries, and never one whose score is 0."""
    order = np.argsort(-np.asarray(scores, float), kind="stable")
    if q is None:
        return [int(i) for i in order]
    return [int(i) for i in order if q[i] < level and scores[i] > 0]


def z_scores(values: np.ndarray) -> np.ndarray:
    """Values [L] less their mean, over their standard deviation; zeros when they are all equal."""
    centred = np.asarray(values, float) - np.mean(values)
    deviation = centred.std()
    return centred / deviation if deviation > 1e-12 * np.abs(values).max() else 0 * centred


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 0 of values [n], ties at their mean."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts + 1) / 2)[place]
