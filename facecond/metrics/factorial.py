"""Scores of statistics recorded over a factorial grid: levels of a source x levels of the other
source x noise seeds. They say where a source is *represented*, which need not be where it is
injected: what a layer writes, the layers after it carry on.

- `jsd_ratio`: Conditional Balance's grade, mean Jensen-Shannon divergence within a level over that
  between levels; lower is more sensitive, 1 is chance. Pairs are matched: the same level of the
  other source, different noise. Noise is shared between levels, so pairs of the same noise exist
  between levels only; left in, they would bend the ratio of chance to S / (S - 1) for S seeds.
- `omega2`: share of variance that the level explains (omega squared, 0 is chance).

Both are tested by permuting the levels within each cell of (other level, noise).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from facecond.metrics.sensitivity import DRAWS, ScoreTest, tail
from facecond.seeding import numpy_generator

STD_FLOOR = 1e-5
RESOLUTION = 1e-5
"""Smaller differences of a score are rounding: upstream of the first layer that reads a source the
samples of one seed are alike but for the last bits, which follow a sample's place in its batch."""
BLOCK = 1 << 22
"""Elements of a block of permuted comparisons."""


class Factorial:
    """The design of a grid in which each (level, other level, noise) occurs once.

    Args:
        level, other, noise: int [N], of each sample in the order in which they were recorded.

    Attributes:
        order: int64 [N]; places of the samples in the order (other, noise, level), in which all
            functions below want what was recorded. Results do not depend on the order of samples.
        shape: numbers of other levels, seeds and levels.
        pairs: int64 [2, E]; comparable pairs: the same other level, different noise.

    Raises:
        ValueError: a combination is missing or comes twice, or there is one level or seed only.
    """

    def __init__(self, level: np.ndarray, other: np.ndarray, noise: np.ndarray) -> None:
        codes = [np.unique(part, return_inverse=True) for part in (other, noise, level)]
        self.shape = tuple(len(values) for values, _ in codes)
        others, seeds, levels = self.shape
        flat = np.ravel_multi_index([place.ravel() for _, place in codes], self.shape)
        if len(flat) != others * seeds * levels or len(np.unique(flat)) != len(flat):
            raise ValueError("the grid is no full factorial: each combination comes once")
        if levels < 2 or seeds < 2:
            raise ValueError("a grid needs at least two levels and two seeds")
        self.order = np.argsort(flat).astype(np.int64)
        o, s, a = np.unravel_index(np.arange(len(flat)), self.shape)
        self._labels = {"other": o, "noise": s, "level": a}
        i, j = np.triu_indices(len(flat), 1)
        keep = (o[i] == o[j]) & (s[i] != s[j])
        self.pairs = np.stack([i[keep], j[keep]])

    @property
    def level(self) -> np.ndarray:
        """Levels of the samples in `order`, int64 [N]."""
        return self._labels["level"]

    def labels(self, factor: str) -> np.ndarray:
        """Levels of `level`, `other` or `noise` in `order`, int64 [N]."""
        return self._labels[factor]

    def permuted(self, draws: int, seed: int) -> np.ndarray:
        """Levels permuted within each cell of (other, noise), int64 [draws, N]."""
        levels = np.broadcast_to(np.arange(self.shape[2]), (draws, *self.shape))
        return numpy_generator(seed, "labels").permuted(levels, axis=-1).reshape(draws, -1)

    def null(
        self, statistic: Callable[[np.ndarray], np.ndarray], width: int, draws: int, seed: int
    ) -> np.ndarray:
        """`statistic` (levels [k, N] -> [k, ...]) of permuted levels, [draws, ...], computed in
        blocks; `width` is the number of comparisons that it makes per draw."""
        labels = self.permuted(draws, seed)
        step = max(1, BLOCK // max(width, 1))
        return np.concatenate([statistic(labels[i : i + step]) for i in range(0, draws, step)])


def jensen_shannon(mean: np.ndarray, std: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Divergence of pairs [2, E] of diagonal Gaussians with mean and std [N, C], float64 [E].

    The mixture in the middle is replaced by a Gaussian with the mean of the means and of the
    variances (Conditional Balance; the gap between the means is not added to the variance):

        1/2 sum_c [ log(v / (s1 s2)) + (m1 - m2)^2 / (4 v) ],   v = (s1^2 + s2^2) / 2
    """
    std = np.maximum(np.asarray(std, np.float64), STD_FLOOR)
    mean = np.asarray(mean, np.float64)
    i, j = pairs
    middle = (std[i] ** 2 + std[j] ** 2) / 2  # [E, C]
    spread = np.log(middle) - np.log(std)[i] - np.log(std)[j]
    return ((mean[i] - mean[j]) ** 2 / (4 * middle) + spread).sum(1) / 2


def within_over_between(distances: np.ndarray, same: np.ndarray) -> np.ndarray:
    """Mean distance within a level over that between levels.

    Args:
        distances: float [E, ...] of pairs.
        same: bool [k, E]; whether a pair is of one level.

    Returns:
        [k, ...]; 1 where the pairs between levels have no distance either. Means are taken around
        the first distance, so that constant distances give exactly 1.
    """
    origin = distances[0]
    rest = (distances - origin).reshape(len(distances), -1)
    inside = same.astype(rest.dtype)  # [k, E]
    count = inside.sum(1, keepdims=True)
    total = inside @ rest  # [k, ...]
    within = origin.ravel() + total / count
    between = origin.ravel() + (rest.sum(0) - total) / (len(rest) - count)
    ratio = np.divide(within, between, out=np.ones_like(within), where=between != 0)
    return ratio.reshape(len(same), *distances.shape[1:])


def jsd_ratio(
    distances: np.ndarray, design: Factorial, *, seed: int = 0, draws: int = DRAWS
) -> ScoreTest:
    """Conditional Balance's grade with its bookkeeping repaired; lower is more sensitive.

    Args:
        distances: float [E, ...] of `design.pairs`, from `jensen_shannon`.

    Returns:
        Ratios [...]; `p` for ratios as low, `p95` the ratio that the null undercuts in one case of
        twenty. `draws` 0 leaves the null out.
    """
    i, j = design.pairs

    def ratios(labels: np.ndarray) -> np.ndarray:
        return within_over_between(distances, labels[:, i] == labels[:, j])

    score = ratios(design.level[None])[0]
    if not draws:
        return _untested(score)
    null = design.null(ratios, len(i), draws, seed)
    return ScoreTest(score, tail(-null, -score, RESOLUTION), np.quantile(null, 0.05, axis=0))


def gram(features: np.ndarray) -> np.ndarray:
    """Products of samples [N, F] after each feature is brought to mean 0 and variance 1, divided by
    the number of features, float64 [N, N]: all that `omega2` needs, whatever F is. Features that
    do not vary are left out."""
    values = np.asarray(features, np.float64)
    deviation = values.std(0)
    varies = deviation > 1e-6 * np.abs(values).max(0, initial=0.0)
    if not varies.any():
        return np.zeros((len(values), len(values)))
    values = (values[:, varies] - values[:, varies].mean(0)) / deviation[varies]
    return values @ values.T / varies.sum()


def omega2(grams: np.ndarray, design: Factorial, *, seed: int = 0, draws: int = DRAWS) -> ScoreTest:
    """Share of the variance that the level explains in a three-way factorial, one sample per cell.

        (SS_level - df_level MS_rest) / (SS_total + MS_rest)

    The rest is what the three main effects leave, interactions included; sums of squares run over
    all features (`gram`).

    Args:
        grams: float [N, N, ...] of the samples in `design.order`.

    Returns:
        Shares [...], 0 where nothing varies. `draws` 0 leaves the null out.
    """
    samples = len(design.order)
    cells = grams.reshape(samples, samples, -1)
    rows = cells.mean(0)  # [N, K]; the diagonal and row means centre the samples
    total = np.einsum("iik->k", cells) - samples * rows.mean(0)
    i, j = np.triu_indices(samples, 1)
    diagonal = np.einsum("iik->ik", cells)
    upper = cells[i, j]  # [N (N - 1) / 2, K]

    def squares(labels: np.ndarray) -> np.ndarray:
        """Sum of squares between groups of equal size: labels [k, N] -> [k, K]."""
        size = samples / len(np.unique(labels[0]))
        inside = (labels[:, i] == labels[:, j]).astype(float) @ upper  # [k, K]
        return (diagonal.sum(0) + 2 * inside) / size - samples * rows.mean(0)

    others = squares(design.labels("other")[None])[0] + squares(design.labels("noise")[None])[0]
    free = [count - 1 for count in design.shape]
    left = samples - 1 - sum(free)

    def shares(labels: np.ndarray) -> np.ndarray:
        between = squares(labels)
        rest = (total - others - between) / left
        whole = total + rest
        found = np.divide(
            between - free[2] * rest, whole, out=np.zeros_like(between), where=whole > 1e-12
        )
        return found.reshape(len(labels), *grams.shape[2:])

    score = shares(design.level[None])[0]
    if not draws:
        return _untested(score)
    null = design.null(shares, len(i), draws, seed)
    return ScoreTest(score, tail(null, score, RESOLUTION), np.quantile(null, 0.95, axis=0))


def _untested(score: np.ndarray) -> ScoreTest:
    return ScoreTest(score, np.full(score.shape, np.nan), np.full(score.shape, np.nan))
