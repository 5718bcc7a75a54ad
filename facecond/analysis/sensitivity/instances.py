"""Levels of a condition and instances of a level.

Tokens are a function of the condition, so the same condition gives the same tokens and a swap with
them changes nothing at all. A sham swap that is to control something needs another *instance of
the same level*. Here a level is a face as a condition describes it, and another instance is the
same face described once more, by somebody who is no more precise than annotators are:

- a mask drawn again: all borders shifted by one pixel in 64;
- attributes stated again: one stated value in ten left open. Left open, not flipped: an open value
  is no lie, and training shows the model open values.

A layer beats its control when another face's condition moves it more than this does.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from facecond.data.doctor.contradictions import RULES
from facecond.labels import (
    ANYTHING,
    ATTRIBUTES,
    MASK_CLASSES,
    PRESENT,
    UNSPECIFIED,
)
from facecond.seeding import numpy_generator

LEFT_OPEN = 0.1
"""Share of the stated attributes that a restatement leaves open."""
PIXELS = 64
"""A redrawn mask is shifted by one pixel in so many."""
KNOWN = 0.99
"""Share of a mask that is painted, from which on a class can be said to be missing."""

NEEDED: dict[str, tuple[str, ...]] = {
    "hair": (
        "Bangs", "Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair", "Receding_Hairline",
        "Sideburns", "Straight_Hair", "Wavy_Hair",
    ),
    "u_lip": ("Wearing_Lipstick",),
}  # fmt: skip
"""Class -> attributes that cannot be present where the mask lacks it."""

_SHIFTS = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if y or x]


def redrawn(mask: np.ndarray, *keys: int | str) -> np.ndarray:
    """Mask uint8 [S, S] shifted by a pixel in 64 in one of eight directions, edges repeated."""
    step = max(1, round(mask.shape[0] / PIXELS))
    y, x = _SHIFTS[numpy_generator("redrawn", *keys).integers(len(_SHIFTS))]
    padded = np.pad(mask, step, mode="edge")
    top, left = step * (1 + y), step * (1 + x)
    return padded[top : top + mask.shape[0], left : left + mask.shape[1]]


def restated(values: np.ndarray, *keys: int | str) -> np.ndarray:
    """Values int8 [40] with a tenth of the stated ones (at least one) left open."""
    stated = np.flatnonzero(values != UNSPECIFIED)
    count = min(len(stated), max(1, round(LEFT_OPEN * len(stated))))
    again = values.copy()
    again[numpy_generator("restated", *keys).choice(stated, count, replace=False)] = UNSPECIFIED
    return again


def contradicted(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Which stated values int8 [40] cannot be true of a mask uint8 [S, S], bool [40]: glasses that
    are not drawn, a hat, hair colour without hair. (The doctor's rules, and `NEEDED`.)"""
    area = np.bincount(mask.ravel(), minlength=ANYTHING + 1) / mask.size
    known = 1 - area[ANYTHING] >= KNOWN
    found = np.zeros(len(ATTRIBUTES), bool)
    for rule in RULES:
        share = area[MASK_CLASSES.index(rule.part)]
        if rule.low <= share < rule.high and (known or rule.low > 0):
            column = ATTRIBUTES.index(rule.attribute)
            found[column] |= values[column] == rule.value
    for part, names in NEEDED.items():
        if known and not area[MASK_CLASSES.index(part)]:
            for column in map(ATTRIBUTES.index, names):
                found[column] |= values[column] == PRESENT
    return found


def reconciled(values: np.ndarray, masks: Sequence[np.ndarray]) -> np.ndarray:
    """Values int8 [40] with those left open that one of the masks contradicts."""
    wrong = np.any([contradicted(values, mask) for mask in masks], axis=0)
    return np.where(wrong, UNSPECIFIED, values).astype(np.int8)
