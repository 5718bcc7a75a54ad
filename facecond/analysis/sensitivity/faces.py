"""The held-out faces of the interventions: each with the condition of another face, and with its
own condition once more."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from facecond.analysis.sensitivity.instances import reconciled, redrawn, restated
from facecond.data.prepared import PreparedFolder
from facecond.errors import UserError
from facecond.evaluation.conditions import condition_rows, images_of, masks_of
from facecond.metrics import derangement


@dataclass(frozen=True)
class Condition:
    """Conditions of some faces: `attributes` int8 [n, 40], `masks` uint8 [n, S, S]."""

    attributes: np.ndarray
    masks: np.ndarray

    def __getitem__(self, part: slice) -> Condition:
        return Condition(self.attributes[part], self.masks[part])


@dataclass(frozen=True)
class Faces:
    """Held-out faces and three conditions of each.

    Attributes:
        rows: int64 [n], rows of the prepared folder in their order, so that nothing depends on
            the order in which faces were drawn.
        images: uint8 [n, S, S, 3].
        own: the condition that belongs to the picture.
        other: that of another face: the other level.
        same: its own, drawn and stated again: another instance of the same level.
    """

    rows: np.ndarray
    images: np.ndarray
    own: Condition
    other: Condition
    same: Condition

    def sham(self, seed: int) -> Faces:
        """These faces with a further restatement in the place of the other level: nothing but
        chance then sets `other` apart from `same`."""
        again = _again(self.own, self.rows, seed, "sham")
        return Faces(self.rows, self.images, self.own, again, self.same)


def choose_faces(folder: PreparedFolder, images: int, seed: int) -> Faces:
    """`images` faces of the test split that have a mask and attributes, each paired with another.

    A value that one of the two masks contradicts is left open in both conditions, so that no swap
    asks for glasses on a face whose mask has none.

    Raises:
        UserError: there are not enough.
    """
    try:
        rows = np.sort(condition_rows(folder, images, seed))
    except UserError as error:
        raise UserError(error.what, error.where, error.fix.replace("--n ", "--images ")) from None
    partner = derangement(len(rows), seed)
    masks, stated = masks_of(folder, rows), folder.attributes[rows]
    pairs = list(zip(masks, masks[partner], strict=True))
    own = Condition(
        _stack(reconciled(v, pair) for v, pair in zip(stated, pairs, strict=True)), masks
    )
    others = (reconciled(v, pair) for v, pair in zip(stated[partner], pairs, strict=True))
    other = Condition(_stack(others), masks[partner])
    return Faces(rows, images_of(folder, rows), own, other, _again(own, rows, seed, "same"))


def _again(own: Condition, rows: np.ndarray, seed: int, word: str) -> Condition:
    keys = [(seed, word, int(row)) for row in rows]
    return Condition(
        _stack(restated(v, *key) for v, key in zip(own.attributes, keys, strict=True)),
        _stack(redrawn(m, *key) for m, key in zip(own.masks, keys, strict=True)),
    )


def _stack(parts: Iterable[np.ndarray]) -> np.ndarray:
    return np.stack(list(parts))
