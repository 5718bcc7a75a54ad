"""Mask agreement from pixel counts of each image: per-class IoU and their mean."""

from __future__ import annotations

import numpy as np

from facecond.labels import ANYTHING, MASK_CLASSES
from facecond.metrics.averages import mean_of_known


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
    return mean_of_known(class_iou(counts))


def pixel_counts(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Pixels of each image whose class is right, and pixels whose class is known.

    Args:
        truth: uint8 [N, H, W]; pixels of 255 (anything) count nowhere.
        predicted: uint8 [N, H, W].

    Returns:
        int64 [N, 2]: (right, known). `ratio_of_sums` of the sum is the pixel accuracy ("mask
        accuracy" in papers). Large classes rule it: a mask of background alone scores as much as
        there is background.
    """
    if truth.shape != predicted.shape:
        raise ValueError(f"masks of shape {truth.shape} and {predicted.shape} do not match")
    known = truth != ANYTHING
    right = known & (truth == predicted)
    return np.stack([right.sum((1, 2)), known.sum((1, 2))], -1).astype(np.int64)


def mask_agreement(first: np.ndarray, second: np.ndarray) -> float:
    """Mean IoU, in [0, 1], between the parsed masks of two sets of pictures, uint8 [n, H, W].

    With pictures before and after an edit of attributes it is the stability of the mask. The
    parser's own noise keeps it below 1: compare it with two pictures of one condition.
    Intersections and unions are summed over the set before they are divided, as in `mean_iou`;
    where neither set holds 255 they may be swapped.
    """
    return float(mean_iou(mask_counts(first, second).sum(0)))
