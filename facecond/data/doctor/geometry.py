"""Where the classes of a face mask lie: label orders told apart, left and right told apart.

The table of places is the middle of two populations, 4,764 masks of CelebAMask-HQ and 1,500
rendered faces (medians; deviations cover both and the difference between them, widened by half).
A mask in another order puts hair where a neck should be, so the margins are wide: a correct mask
of either population scores at least 32 above the same mask read in the other order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from facecond.labels import LABEL_ORDERS, MASK_CLASSES, MIRRORED_CLASSES

HOME = "celebamask"
UNKNOWN = "unknown"
CLASSES = len(MASK_CLASSES)

_PLACES = np.array(
    [  # share of masks that have it; log10 of its area, x, y of its centre; their deviations
        (0.97, -0.43, 0.50, 0.43, 0.26, 0.18, 0.12),  # background
        (0.97, -0.70, 0.50, 0.53, 0.22, 0.05, 0.08),  # skin
        (0.97, -1.85, 0.50, 0.55, 0.31, 0.03, 0.04),  # nose
        (0.15, -1.25, 0.50, 0.48, 0.17, 0.03, 0.03),  # eye_g
        (0.86, -2.40, 0.62, 0.46, 0.41, 0.03, 0.03),  # l_eye
        (0.86, -2.40, 0.38, 0.46, 0.41, 0.03, 0.03),  # r_eye
        (0.97, -2.35, 0.62, 0.39, 0.25, 0.04, 0.04),  # l_brow
        (0.97, -2.35, 0.38, 0.39, 0.25, 0.04, 0.04),  # r_brow
        (0.72, -2.17, 0.79, 0.53, 0.50, 0.07, 0.08),  # l_ear
        (0.72, -2.17, 0.21, 0.53, 0.50, 0.07, 0.08),  # r_ear
        (0.51, -2.26, 0.50, 0.71, 0.42, 0.03, 0.05),  # mouth
        (0.97, -2.36, 0.50, 0.69, 0.25, 0.03, 0.06),  # u_lip
        (0.97, -2.23, 0.50, 0.74, 0.21, 0.03, 0.05),  # l_lip
        (0.93, -0.67, 0.50, 0.37, 0.45, 0.09, 0.28),  # hair
        (0.13, -0.73, 0.50, 0.20, 0.18, 0.09, 0.06),  # hat
        (0.32, -2.09, 0.51, 0.67, 0.80, 0.28, 0.12),  # ear_r
        (0.18, -2.27, 0.50, 0.92, 0.95, 0.26, 0.05),  # neck_l
        (0.97, -1.45, 0.50, 0.89, 0.26, 0.13, 0.07),  # neck
        (0.79, -1.22, 0.50, 0.95, 0.62, 0.26, 0.04),  # cloth
    ]
)
_SHARE, _MEAN, _DEVIATION = _PLACES[:, 0], _PLACES[:, 1:4], _PLACES[:, 4:]

SMALLEST = 2e-4
"""Regions below this share of the picture have no place worth naming."""
FOUR_SIGMA_SQUARED = 16.0  # no single class may decide by itself
MISFIT = 5.0
"""A mask that scores less in the best known order fits none of them (correct ones: 99.9% > 19)."""
GAIN = 60.0
"""What another assignment must gain before a misfit is put down to the order (shuffled ones: > 70).
"""


@dataclass(frozen=True)
class Places:
    """Where each value of a mask lies.

    Attributes:
        area: float [19], share of the picture.
        x, y: float [19], centre as a share of width and height; of absent values 0.
    """

    area: np.ndarray
    x: np.ndarray
    y: np.ndarray


def places(mask: np.ndarray) -> Places:
    """Measure a mask uint8 [H, W]; values from 19 up are passed over."""
    height, width = mask.shape
    flat = mask.ravel()
    count = np.bincount(flat, minlength=256)[:CLASSES].astype(float)
    down, across = np.mgrid[:height, :width]
    x = np.bincount(flat, across.ravel() / max(width - 1, 1), minlength=256)[:CLASSES]
    y = np.bincount(flat, down.ravel() / max(height - 1, 1), minlength=256)[:CLASSES]
    return Places(count / mask.size, x / np.maximum(count, 1), y / np.maximum(count, 1))


def fit(where: Places) -> np.ndarray:
    """Log-likelihood [19 values, 19 classes] of a value's place if it meant that class."""
    there = where.area >= SMALLEST
    measured = np.stack([np.log10(np.maximum(where.area, SMALLEST)), where.x, where.y], -1)
    off = ((measured[:, None, :] - _MEAN) / _DEVIATION) ** 2
    likelihood = -0.5 * np.minimum(off, FOUR_SIGMA_SQUARED).sum(-1)
    likelihood += np.log(_SHARE) - np.log(_DEVIATION).sum(-1)
    return np.where(there[:, None], likelihood, np.log(1 - _SHARE))


def classes_of(order: str) -> list[int]:
    """CelebAMask-HQ class that each value of an order stands for."""
    return [MASK_CLASSES.index(name) for name in LABEL_ORDERS[order]]


def likely_order(table: np.ndarray) -> tuple[str, dict[int, str]]:
    """The order that explains the places best, and what each value then means.

    Args:
        table: `fit` of a mask, or the sum over several.

    Returns:
        Key of `labels.LABEL_ORDERS` (then the meaning is {}), or `UNKNOWN` when none of them fits
        and some other assignment fits far better.
    """
    values = np.arange(CLASSES)
    scores = {order: float(table[values, classes_of(order)].sum()) for order in LABEL_ORDERS}
    best = max(scores, key=lambda order: scores[order])
    if scores[best] >= MISFIT:
        return best, {}
    rows, columns = linear_sum_assignment(-table)
    if table[rows, columns].sum() < scores[best] + GAIN:
        return best, {}
    return UNKNOWN, {int(v): MASK_CLASSES[c] for v, c in zip(rows, columns, strict=True)}


def swapped_pairs(where: Places) -> list[str]:
    """Pairs such as "eye" whose left part lies on the left side of the picture: it should not."""
    found = []
    for left, right in MIRRORED_CLASSES:
        both = min(where.area[left], where.area[right]) >= SMALLEST
        if both and where.x[left] < where.x[right]:
            found.append(MASK_CLASSES[left].removeprefix("l_"))
    return found


def majority(orders: Sequence[str]) -> str:
    """The order that most masks are in; `HOME` when there are none."""
    return max(sorted(set(orders), key=lambda o: o != HOME), key=orders.count, default=HOME)
