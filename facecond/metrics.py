"""Arrays to numbers: mask mIoU, attribute balanced accuracy, Fréchet distance, intervals.

Every score is a function of *counts that add up over images*. So a stream of batches can be scored
without keeping it, and a bootstrap over images is one product of weights and counts.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from facecond.labels import ANYTHING, MASK_CLASSES, PRESENT, UNSPECIFIED
from facecond.seeding import numpy_generator

MINIMUM_CASES = 5
"""An attribute with fewer present or fewer absent cases than this is not scored."""


def mask_counts(
    truth: np.ndarray, predicted: np.ndarray, classes: int = len(MASK_CLASSES)
) -> np.ndarray:
    """Intersections and unions of each image, in pixels.

    Args:
        truth: uint8 [N, H, W], 0..classes-1; pixels of 255 (anything) count nowhere.
        predicted: uint8 [N, H, W], 0..classes-1.

    Returns:
        int64 [N, classes, 2]: (intersection, union). Counts of images may be summed.

    Raises:
        ValueError: the shapes differ, or a label is out of range.
    """
    if truth.shape != predicted.shape:
        raise ValueError(f"masks of shape {truth.shape} and {predicted.shape} do not match")
    images = len(truth)
    known = truth != ANYTHING
    seen, guess = truth[known].astype(np.int64), predicted[known].astype(np.int64)
    if len(seen) and max(int(seen.max()), int(guess.max())) >= classes:
        raise ValueError(f"masks hold a label of {classes} or more")
    image = np.broadcast_to(np.arange(images).reshape(-1, 1, 1), truth.shape)[known] * classes
    size = images * classes
    in_truth = np.bincount(image + seen, minlength=size)
    in_guess = np.bincount(image + guess, minlength=size)
    both = np.bincount((image + seen)[seen == guess], minlength=size)
    return np.stack([both, in_truth + in_guess - both], -1).reshape(images, classes, 2)


def class_iou(counts: np.ndarray) -> np.ndarray:
    """Summed counts [..., classes, 2] -> IoU float64 [..., classes]; NaN where the class occurs
    neither in the truth nor in the prediction."""
    both, union = counts[..., 0].astype(float), counts[..., 1].astype(float)
    return np.divide(both, union, out=np.full_like(both, np.nan), where=union > 0)


def mean_iou(counts: np.ndarray) -> np.ndarray:
    """Summed counts [..., classes, 2] -> mean IoU [...] over the classes that occur."""
    return _mean_of_known(class_iou(counts))


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
    return _mean_of_known(attribute_accuracy(counts, minimum))


@dataclass(frozen=True)
class Interval:
    """Bounds of a bootstrap interval."""

    low: float
    high: float


def bootstrap_interval(
    counts: np.ndarray,
    score: Callable[[np.ndarray], np.ndarray],
    *,
    seed: int = 0,
    draws: int = 1000,
    level: float = 0.95,
) -> Interval:
    """Percentile bootstrap over images (Efron 1979).

    Args:
        counts: [N, ...] counts of each image.
        score: summed counts [draws, ...] -> [draws], such as `mean_iou`.
    """
    images = len(counts)
    generator = numpy_generator(seed, "bootstrap")
    weights = generator.multinomial(images, np.full(images, 1 / images), size=draws)
    resampled = weights.astype(float) @ counts.reshape(images, -1).astype(float)
    scores = score(np.rint(resampled).reshape(draws, *counts.shape[1:]))
    return _percentiles(scores, level)


def frechet_distance(features: np.ndarray, reference: np.ndarray) -> float:
    """Fréchet distance of two Gaussians fitted to feature sets [N, D] and [M, D].

    |mu - mu_r|^2 + tr(C + C_r - 2 (C C_r)^(1/2)) (Dowson and Landau 1982), by clean-fid's
    function. It is biased upwards at finite N: compare only figures of equal N. On features of a
    judge it is called `frechet_judge`; only Inception features make it an FID.
    """
    from cleanfid.fid import frechet_distance as gaussian_distance

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # scipy's `sqrtm(disp=...)`
        distance = gaussian_distance(*_gaussian(features), *_gaussian(reference))
    return max(float(distance), 0.0)


def frechet_interval(
    features: np.ndarray,
    reference: np.ndarray,
    *,
    seed: int = 0,
    draws: int = 200,
    level: float = 0.95,
) -> Interval:
    """Bootstrap interval over the images of `features`, the reference held fixed.

    Repeated images raise the distance of a resampled set, so the percentiles of the draws are
    moved by the difference between the figure itself and the mean of the draws.
    """
    generator = numpy_generator(seed, "bootstrap", "frechet")
    picks = generator.integers(len(features), size=(draws, len(features)))
    mean, covariance = _gaussian(reference)
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T

    def distance(sample: np.ndarray) -> float:
        """The same figure, faster: C C_r and C_r^(1/2) C C_r^(1/2) have the same eigenvalues."""
        own_mean, own = _gaussian(sample)
        shared = np.sqrt(np.linalg.eigvalsh(root @ own @ root).clip(0)).sum()
        return float(((own_mean - mean) ** 2).sum() + np.trace(own + covariance) - 2 * shared)

    scores = np.array([distance(features[pick]) for pick in picks])
    bounds = _percentiles(scores + distance(features) - scores.mean(), level)
    return Interval(max(bounds.low, 0.0), bounds.high)


def share_of_way(score: float, floor: float, ceiling: float) -> float:
    """How far from the floor (0) to the ceiling (1) a score lies; NaN when the two coincide."""
    return (score - floor) / (ceiling - floor) if ceiling != floor else float("nan")


def derangement(count: int, seed: int) -> np.ndarray:
    """A random cyclic permutation of 0..count-1, int64 [count]: nothing stays in its place."""
    if count < 2:
        raise ValueError("a derangement needs at least two items")
    order = numpy_generator(seed, "derangement").permutation(count)
    partner = np.empty(count, np.int64)
    partner[order] = np.roll(order, 1)
    return partner


def _gaussian(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    features = np.asarray(features, np.float64)
    if len(features) < 2:
        raise ValueError("a Fréchet distance needs at least two images in each set")
    return features.mean(0), np.atleast_2d(np.cov(features, rowvar=False))


def _mean_of_known(values: np.ndarray) -> np.ndarray:
    known = ~np.isnan(values)
    total, count = np.where(known, values, 0.0).sum(-1), known.sum(-1)
    return np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)


def _percentiles(scores: np.ndarray, level: float) -> Interval:
    low, high = np.nanquantile(scores, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))
