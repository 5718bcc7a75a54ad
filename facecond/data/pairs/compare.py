"""Faces against faces, a block of rows and columns at a time, as matrix products.

With a bitmap per class, the intersections of all masks of a block with all of another are one
product a class; with attributes coded 1, 0, -1 (absent), so are the values that differ.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from facecond.labels import ANYTHING, MASK_CLASSES, PRESENT, UNSPECIFIED

_MERGED: tuple[tuple[str, ...], ...] = (
    ("l_eye", "r_eye"), ("l_brow", "r_brow"), ("l_ear", "r_ear", "ear_r"),
    ("u_lip", "l_lip", "mouth"), ("neck", "neck_l"),
)  # fmt: skip
"""Left with right, the mouth with its lips, jewellery with what wears it: thin parts, which would
rule the mean over the classes."""


def merged_labels(masks: np.ndarray) -> np.ndarray:
    """Masks uint8 of any shape with each group of `_MERGED` as its first class; 255 stays."""
    table = np.arange(256, dtype=np.uint8)
    for first, *others in _MERGED:
        for name in others:
            table[MASK_CLASSES.index(name)] = MASK_CLASSES.index(first)
    return table[masks]


class MaskOverlap:
    """Mean IoU of masks, over the classes that occur in either of two.

    Pixels that one of the two leaves open (255) count for neither.

    Args:
        masks: uint8 [N, P], 0..18 or 255.
    """

    def __init__(self, masks: np.ndarray) -> None:
        self._masks = masks
        # A class never lies on most pixels: only those where it does need to be multiplied.
        places = {int(c): (masks == c).any(0) for c in np.unique(masks[masks != ANYTHING])}
        self._places = {c: np.flatnonzero(where) for c, where in places.items()}
        self._is_open = bool((masks == ANYTHING).any())
        self._rows: tuple[slice, dict[int, np.ndarray]] = (slice(0, 0), {})

    def block(self, rows: slice, columns: slice) -> np.ndarray:
        """float32 [rows, columns]: mean IoU, 0 to 1; 0 where two masks share no known pixel."""
        if self._rows[0] != rows:  # a walk stays with its rows
            self._rows = (rows, self._bitmaps(rows))
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        total, occurring = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        for label, first in self._rows[1].items():
            places = self._places[label]
            second = self._bitmap(columns, label)
            both = first @ second.T
            union = self._areas(first, columns, places) + self._areas(second, rows, places).T
            union -= both
            occurring += union > 0
            np.maximum(union, 1, out=union)
            both /= union
            total += both
        mean: np.ndarray = total / np.maximum(occurring, 1)
        return mean

    def _areas(self, bitmap: np.ndarray, others: slice, places: np.ndarray) -> np.ndarray:
        """Area of each row's class where the other masks are known, [n, 1] or [n, others]."""
        if not self._is_open:
            return bitmap.sum(1, keepdims=True)
        known = (self._masks[others][:, places] != ANYTHING).astype(np.float32)
        return bitmap @ known.T

    def _bitmaps(self, rows: slice) -> dict[int, np.ndarray]:
        return {label: self._bitmap(rows, label) for label in self._places}

    def _bitmap(self, rows: slice, label: int) -> np.ndarray:
        """float32 [rows, places of the class]: 1 where the class is."""
        return (self._masks[rows][:, self._places[label]] == label).astype(np.float32)


class AttributeDistance:
    """How many attributes differ, of those that both faces state.

    Args:
        attributes: int8 [N, A]; 1 present, 0 absent, -1 unspecified.
    """

    def __init__(self, attributes: np.ndarray) -> None:
        signs = np.where(attributes == PRESENT, 1, -1)
        known = attributes != UNSPECIFIED
        self._signs = np.where(known, signs, 0).astype(np.float32)
        self._known = known.astype(np.float32)

    def block(self, rows: slice, columns: slice) -> tuple[np.ndarray, np.ndarray]:
        """float32 [rows, columns]: how many differ, and how many both state."""
        stated = self._known[rows] @ self._known[columns].T
        agreeing_less_differing = self._signs[rows] @ self._signs[columns].T
        return (stated - agreeing_less_differing) / 2, stated


def blocks(count: int, size: int) -> Sequence[tuple[slice, slice]]:
    """Rows and columns of the blocks on and above the diagonal of a count x count matrix."""
    parts = [slice(start, min(start + size, count)) for start in range(0, count, size)]
    return [(rows, columns) for i, rows in enumerate(parts) for columns in parts[i:]]
