"""Targets whose appearance one face shows and whose geometry another."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


class Triples:
    """Pairs of appearance and pairs of geometry, joined at their targets.

    Of planted factors these are exact: the target is the appearance of the first in the geometry
    of the second.

    Args:
        pairs: `appearance` and `geometry` -> int64 [n, 2], positions of reference and target; one
            that is missing has none.

    Attributes:
        targets: that have references of both kinds, int64 [T].
        count: ways to choose two references of a target, over all of them.
    """

    def __init__(self, pairs: Mapping[str, np.ndarray]) -> None:
        none = np.zeros((0, 2), np.int64)
        kinds = [pairs.get(task, none) for task in ("appearance", "geometry")]
        self.targets = np.intersect1d(kinds[0][:, 1], kinds[1][:, 1])
        self._references, self._bounds = [], []
        for rows in kinds:
            order = np.argsort(rows[:, 1], kind="stable")
            targets = rows[order, 1]
            starts = np.searchsorted(targets, self.targets, "left")
            ends = np.searchsorted(targets, self.targets, "right")
            self._references.append(rows[order, 0])
            self._bounds.append(np.stack([starts, ends], 1))  # [T, 2]
        appearance, geometry = (ends - starts for starts, ends in (b.T for b in self._bounds))
        self.count = int((appearance * geometry).sum())

    def __len__(self) -> int:
        return len(self.targets)

    def draw(self, numbers: np.random.Generator) -> tuple[int, int, int]:
        """The face of the appearance, the face of the geometry, and the target: all targets alike,
        then all references of theirs."""
        place = int(numbers.integers(len(self.targets)))
        chosen = [
            int(references[numbers.integers(*bounds[place])])
            for references, bounds in zip(self._references, self._bounds, strict=True)
        ]
        return chosen[0], chosen[1], int(self.targets[place])
