"""Changes of a mask by the names of its classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from facecond.errors import UserError, nearest
from facecond.labels import ANYTHING, MASK_CLASSES

CLASS_NAMES: tuple[str, ...] = (*MASK_CLASSES, "anything")
"""What a pixel of a mask can be called."""


def class_of(name: str) -> int:
    """`hair` -> 13, `anything` -> 255; raises `UserError` with the nearest name."""
    if name not in CLASS_NAMES:
        raise UserError(f"unknown mask class '{name}'", "mask", nearest(name, CLASS_NAMES))
    return ANYTHING if name == CLASS_NAMES[-1] else MASK_CLASSES.index(name)


def open_classes(mask: np.ndarray, names: Iterable[str]) -> np.ndarray:
    """A copy of a mask uint8 [..., H, W] with the pixels of these classes left open (255)."""
    return replace_classes(mask, dict.fromkeys(names, CLASS_NAMES[-1]))


def replace_classes(mask: np.ndarray, names: Mapping[str, str]) -> np.ndarray:
    """A copy of a mask uint8 [..., H, W] with classes replaced, all at once: two may trade places.

    Raises:
        UserError: an unknown class.
    """
    table = np.arange(256, dtype=np.uint8)
    for old, new in names.items():
        table[class_of(old)] = class_of(new)
    return table[mask]
