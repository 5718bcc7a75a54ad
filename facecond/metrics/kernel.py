"""Kernel distance of feature sets (KID on Inception features), and its interval."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from facecond.metrics.intervals import Interval, percentiles
from facecond.seeding import key_of, numpy_generator

_BLOCK = 2**24
"""Most kernel values held at a time (128 MB)."""


@dataclass(frozen=True)
class KernelDistance:
    """`score`: mean over the subsets; `std`: standard deviation from subset to subset (NaN where
    there is only one). Papers print both times 1000 or times 100."""

    score: float
    std: float


def kernel_distance(
    features: np.ndarray,
    reference: np.ndarray,
    *,
    seed: int = 0,
    subsets: int = 100,
    subset_size: int = 1000,
) -> KernelDistance:
    """Squared maximum mean discrepancy of feature sets [N, D] and [M, D], by clean-fid's function.

    The kernel is (x.y / D + 1)^3 (Binkowski et al. 2018, arXiv 1801.01401, section 4). Each subset
    takes m = min(N, M, subset_size) rows of both sets, and its estimate is the unbiased one: over
    draws of two samples of one distribution the mean is 0 at any N, so a figure may be below 0 and
    figures of unequal N may be compared. On features of a judge it is called `kernel_judge`; only
    Inception features make it a KID.

    `std` is the spread of estimates at m rows. It is no error of the score: subsets overlap, and
    where m = N every subset holds the same rows of that set. See `kernel_interval`.

    Raises:
        ValueError: a set of fewer than two images.
    """
    from cleanfid.fid import kernel_distance as subset_distance

    x, y = _checked(features, reference)
    size = min(len(x), len(y), subset_size)
    if len(x) == len(y) == size:
        subsets = 1  # all would be the same
    generator = numpy_generator(seed, "kernel")
    scores = []
    with _global_state(seed):
        for _ in range(subsets):
            rows_x = generator.choice(len(x), size, replace=False, shuffle=False)
            rows_y = generator.choice(len(y), size, replace=False, shuffle=False)
            scores.append(subset_distance(x[rows_x], y[rows_y], 1, size))
    std = float(np.std(scores, ddof=1)) if subsets > 1 else float("nan")
    return KernelDistance(float(np.mean(scores)), std)


def kernel_interval(
    features: np.ndarray,
    reference: np.ndarray,
    score: float,
    *,
    seed: int = 0,
    draws: int = 200,
    level: float = 0.95,
) -> Interval:
    """Bootstrap interval of a kernel distance over the images of `features`, around `score`.

    Every draw is the estimate over all pairs of images, weighted by how often each was drawn; pairs
    of an image with its own copy are left out, so that repeated images add no bias. The reference
    is held fixed: its own term is the same in all draws and falls out when their mean is moved to
    `score`. Where both sets follow one distribution the interval is too wide, never too narrow.
    """
    x, y = _checked(features, reference)
    count = len(x)
    generator = numpy_generator(seed, "bootstrap", "kernel")
    weights = generator.multinomial(count, np.full(count, 1 / count), size=draws).astype(float)
    within, across = np.zeros(draws), np.zeros(draws)
    for start in range(0, count, rows := max(1, _BLOCK // max(count, len(y)))):
        part = slice(start, start + rows)
        own = _kernel(x[part], x)  # [rows, N]
        within += ((weights[:, part] @ own) * weights).sum(1)
        across += weights[:, part] @ _kernel(x[part], y).mean(1) / count
    within -= weights**2 @ _polynomial((x * x).sum(1), x.shape[1])
    scores = within / (count**2 - (weights**2).sum(1)) - 2 * across
    return percentiles(scores + score - scores.mean(), level)


def _checked(features: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if min(len(features), len(reference)) < 2:
        raise ValueError("a kernel distance needs at least two images in each set")
    # The estimate is a small difference of large sums: float32 would cost it digits.
    return np.asarray(features, np.float64), np.asarray(reference, np.float64)


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _polynomial(x @ y.T, x.shape[1])


def _polynomial(products: np.ndarray, size: int) -> np.ndarray:
    base = products / size + 1
    return base * base * base  # several times as fast as `** 3`


@contextlib.contextmanager
def _global_state(seed: int) -> Iterator[None]:
    """NumPy's global generator, from which clean-fid draws: seeded inside, as it was outside."""
    before = np.random.get_state()
    state = np.random.RandomState(key_of(seed, "kernel") % 2**32)
    np.random.set_state(state.get_state())
    try:
        yield
    finally:
        np.random.set_state(before)
