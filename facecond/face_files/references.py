"""What a record says of reference faces."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from facecond.models.reference import Reference


def described(given: Sequence[tuple[str, Reference]]) -> list[dict[str, Any]]:
    """File, hash of the pixels read, what was taken and weight of each reference.

    Args:
        given: references with the files that they are from.
    """
    return [
        {
            "file": file,
            "sha256": hash_of_pixels(reference.image),
            "take": reference.take,
            "weight": reference.weight,
        }
        for file, reference in given
    ]


def hash_of_pixels(picture: np.ndarray) -> str:
    """SHA-256 over the pixels of a picture uint8 [S, S, 3]."""
    return hashlib.sha256(picture.tobytes()).hexdigest()
