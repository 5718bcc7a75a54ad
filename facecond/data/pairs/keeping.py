"""Which of very many pairs are kept: a few references per target, drawn by seed."""

from __future__ import annotations

import numpy as np

_LEAST = 32
_SPARE = 4


class KeptPairs:
    """For each target the references of lowest priority so far; memory does not grow with pairs.

    Args:
        count: faces, all of which may be targets.
        limit: rows to give in the end. A target keeps up to four times its share of them (at
            least 32), for others that have fewer references than their share.
    """

    def __init__(self, count: int, limit: int) -> None:
        self._limit = limit
        width = max(1, min(count - 1, max(_LEAST, _SPARE * -(-limit // max(count, 1)))))
        self._priority = np.full((count, width), np.inf, np.float32)
        self._reference = np.zeros((count, width), np.int32)

    def add(
        self, targets: np.ndarray, references: np.ndarray, found: np.ndarray, priority: np.ndarray
    ) -> None:
        """Offer pairs.

        Args:
            targets, references: int64 [T], [R]: numbers of the faces; each target once.
            found: bool [T, R]: which of them are pairs.
            priority: float32 [T, R] in [0, 1]: random; low ones are kept.
        """
        some = found.any(1)
        if not some.any():
            return
        rows = targets[some]
        width = self._priority.shape[1]
        offered = np.where(found[some], priority[some], np.float32(np.inf))
        merged = np.concatenate([self._priority[rows], offered], 1)
        best = np.argpartition(merged, width - 1, axis=1)[:, :width]
        names = np.broadcast_to(references.astype(np.int32), offered.shape)
        everyone = np.concatenate([self._reference[rows], names], 1)
        self._priority[rows] = np.take_along_axis(merged, best, 1)
        self._reference[rows] = np.take_along_axis(everyone, best, 1)

    def rows(self) -> np.ndarray:
        """int64 [n, 2]: reference and target, by target.

        Up to the limit, every target gets its first reference before any gets its second, and so
        on; who gets the last ones is random.
        """
        order = np.argsort(self._priority, axis=1, kind="stable")
        priority = np.take_along_axis(self._priority, order, 1)
        reference = np.take_along_axis(self._reference, order, 1)
        target, rank = np.nonzero(np.isfinite(priority))
        chosen = np.lexsort((priority[target, rank], rank))[: self._limit]
        pairs = np.stack([reference[target, rank], target], 1)[chosen].astype(np.int64)
        return pairs[np.lexsort((pairs[:, 0], pairs[:, 1]))]
