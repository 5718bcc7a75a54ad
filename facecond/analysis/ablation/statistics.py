"""Means over seeds, intervals over seeds and images, and paired differences.

All runs of a study are scored on the same conditions: seeds and images are crossed, not nested. A
draw of the bootstrap therefore takes seeds first, then one set of images for all of them (Owen
2007), and both variants of a difference get the same seeds and the same images.

With n seeds the bootstrap over seeds has only n values to draw from, and its variance is too small
by (n - 1) / n; Student's interval over the seeds, which is honest at n = 3, stands beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facecond.metrics.intervals import Interval, percentiles
from facecond.seeding import numpy_generator

LEVEL = 0.95


@dataclass(frozen=True)
class Summary:
    """Figures of one variant: mean over seeds, their standard deviation (NaN for one), number,
    Student's interval over seeds, and the interval over seeds and images."""

    mean: float
    sd: float
    n: int
    student: Interval
    crossed: Interval


@dataclass(frozen=True)
class Difference:
    """A variant minus the reference, paired over seeds.

    Attributes:
        mean, sd, n: of the differences seed by seed.
        p: two-sided, of the paired t-test; NaN where n < 2 or all differences are the same.
        adjusted: p after Holm's correction over the variants of the study.
        sign_p: two-sided, of the exact test that flips signs.
        effect: Hedges' g of paired differences: mean / sd, with the small-sample factor.
    """

    mean: float
    sd: float
    n: int
    student: Interval
    crossed: Interval
    p: float
    adjusted: float
    sign_p: float
    effect: float


def summarise(scores: Sequence[float], draws: np.ndarray, seed: int = 0) -> Summary:
    """Figures of one variant.

    Args:
        scores: one for each seed.
        draws: [seeds, B], each seed's score on B draws of images, the same draws for all seeds;
            B = 1 where images cannot be drawn.
        seed: of the draws of seeds.
    """
    values = np.asarray(scores, float)
    crossed = percentiles(crossed_means(draws, seed), LEVEL)
    return Summary(
        float(values.mean()), _sd(values), len(values), student_interval(values), crossed
    )


def compare(
    scores: Sequence[float],
    reference: Sequence[float],
    draws: np.ndarray,
    reference_draws: np.ndarray,
    seed: int = 0,
) -> Difference:
    """A variant against the reference, seed by seed; see `summarise`. `adjusted` is not yet."""
    apart = np.asarray(scores, float) - np.asarray(reference, float)
    crossed = percentiles(crossed_means(draws - reference_draws, seed), LEVEL)
    p = t_test(apart)
    return Difference(
        mean=float(apart.mean()),
        sd=_sd(apart),
        n=len(apart),
        student=student_interval(apart),
        crossed=crossed,
        p=p,
        adjusted=p,
        sign_p=sign_flip_test(apart),
        effect=hedges_g(apart),
    )


def crossed_means(draws: np.ndarray, seed: int = 0, least: int = 1000) -> np.ndarray:
    """Means [max(B, least)] over seeds drawn with replacement, each on one draw of images.

    Args:
        draws: [seeds, B].
    """
    count, images = draws.shape
    total = max(images, least)
    generator = numpy_generator(seed, "ablation", "seeds")
    seeds = generator.integers(count, size=(total, count))
    picks = np.arange(total) % images
    found: np.ndarray = draws[seeds, picks[:, None]].mean(1)
    return found


def student_interval(values: np.ndarray) -> Interval:
    """Student's interval of a mean; NaN for a single value."""
    from scipy.stats import t

    if len(values) < 2:
        return Interval(math.nan, math.nan)
    half = float(t.ppf((1 + LEVEL) / 2, len(values) - 1)) * _sd(values) / math.sqrt(len(values))
    return Interval(float(values.mean()) - half, float(values.mean()) + half)


def t_test(apart: np.ndarray) -> float:
    """Two-sided p of the paired t-test from differences; it assumes that they are about normal,
    and is the one test that can say something at 3 to 5 seeds."""
    from scipy.stats import t

    sd = _sd(apart)
    if not sd > 0:
        return math.nan
    statistic = abs(float(apart.mean())) / (sd / math.sqrt(len(apart)))
    return float(2 * t.sf(statistic, len(apart) - 1))


def sign_flip_test(apart: np.ndarray) -> float:
    """Two-sided p of the exact test over all 2^n choices of signs: the share of choices whose mean
    is as far from 0. It assumes no shape, and cannot be below 2 / 2^n."""
    count = len(apart)
    if count > 16:
        raise ValueError("too many seeds for an exact test")
    signs = 1 - 2 * ((np.arange(2**count)[:, None] >> np.arange(count)) & 1)
    means = np.abs((signs * apart).mean(1))
    return float((means >= abs(apart.mean()) * (1 - 1e-12)).mean())


def least_sign_p(count: int) -> float:
    """The smallest p that `sign_flip_test` can give for so many seeds."""
    return min(1.0, 2 / 2**count)


def hedges_g(apart: np.ndarray) -> float:
    """Mean of differences over their standard deviation, times 1 - 3 / (4 (n - 1) - 1), which
    takes away most of the bias of few values (Hedges 1981); NaN below 3 values."""
    sd, freedom = _sd(apart), len(apart) - 1
    if freedom < 2 or not sd > 0:
        return math.nan
    factor = 1 - 3 / (4 * freedom - 1)
    return float(apart.mean()) / sd * factor


def holm(p: Sequence[float]) -> list[float]:
    """Holm's correction (1979) of p-values; NaN stay out of it."""
    values = np.asarray(p, float)
    known = np.flatnonzero(~np.isnan(values))
    adjusted, running = values.copy(), 0.0
    for rank, place in enumerate(known[np.argsort(values[known], kind="stable")]):
        running = max(running, min(1.0, (len(known) - rank) * float(values[place])))
        adjusted[place] = running
    found: list[float] = adjusted.tolist()
    return found


def _sd(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else math.nan
