"""Who is the same person: by file, by an embedding, or not known."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from tqdm import tqdm

from facecond.data.prepared import PreparedFolder
from facecond.data.writing import SPLITS
from facecond.errors import UserError

Embed = Callable[[np.ndarray], np.ndarray]
"""Pictures uint8 [B, H, W, 3] -> unit vectors float32 [B, D]: alike where the person is the same.
"""

_BATCH = 64


class Persons:
    """Whether two faces show one person.

    Attributes:
        known_by: "file", "embedding" or "unknown" (everybody counts as another person).
        vectors: of the faces where an embedding decides, float32 [n, D]; else None.
    """

    def __init__(
        self,
        known_by: str,
        numbers: np.ndarray | None = None,
        vectors: np.ndarray | None = None,
    ) -> None:
        self.known_by, self.vectors = known_by, vectors
        self._numbers = numbers

    @classmethod
    def of(cls, folder: PreparedFolder, indices: np.ndarray, embed: Embed | None) -> Persons:
        """The persons of the faces `indices` (int64 [n], rows of the folder).

        identities.csv decides where there is one, and a face that it does not name is a person of
        its own; else an embedding, by the cosine.
        """
        if folder.identities is not None:
            return cls("file", numbers=_numbered(folder.identities, folder.names, indices))
        if embed is not None:
            return cls("embedding", vectors=embedded(folder, indices, embed))
        return cls("unknown")

    def same(self, rows: slice, columns: slice, *thresholds: float) -> list[np.ndarray]:
        """bool [rows, columns] for each threshold on the cosine, which is for embeddings alone."""
        if self.vectors is not None:
            cosine = self.vectors[rows] @ self.vectors[columns].T
            return [cosine > threshold for threshold in thresholds]
        if self._numbers is not None:
            equal = self._numbers[rows, None] == self._numbers[columns]
        else:
            equal = np.zeros((rows.stop - rows.start, columns.stop - columns.start), bool)
        return [equal for _ in thresholds]


def check_shown_twice(folder: PreparedFolder, has_embedding: bool) -> None:
    """Raise `UserError` where no two faces can be known to show one person."""
    if folder.factors is not None or folder.source == "rendered":
        what = "rendered faces show nobody twice: there are no pairs of 'identity'"
        raise UserError(what, folder.root, "Leave 'identity' out.")
    if folder.identities is None and not has_embedding:
        what = "who is who is not known: there are no pairs of 'identity'"
        fix = "Prepare the data with --identities, or set reference.embedder."
        raise UserError(what, folder.root, fix)


def leaks(folder: PreparedFolder) -> list[str]:
    """Sentences on persons, and planted factors, that are in more than one split."""
    kinds: dict[str, dict[str, str]] = {"person": folder.identities or {}}
    planted = folder.factors or {}
    kinds["geometry"] = {name: factors.geometry for name, factors in planted.items()}
    kinds["appearance"] = {name: factors.appearance for name, factors in planted.items()}
    said = []
    for kind, owner in kinds.items():
        sides: dict[str, set[str]] = {}
        for name, split in zip(folder.names, folder.splits, strict=True):
            if name in owner and name not in folder.excluded:
                sides.setdefault(owner[name], set()).add(split)
        if count := sum(len(found) > 1 for found in sides.values()):
            what = f"{count} of {len(sides)} {kind} ids are in more than one split"
            said.append(f"{what} of {', '.join(SPLITS)}: scores on the test split are flattered")
    return said


def likenesses(
    folder: PreparedFolder, split: str, vectors: np.ndarray, embed: Embed, threshold: float
) -> list[str]:
    """A sentence on the test faces that look like a face of `split`, whose embeddings are given.

    Where no file says who is who, splits may share persons, and only an embedding can tell.
    """
    tests = np.flatnonzero(folder.splits == "test")
    tests = np.array([row for row in tests if folder.names[row] not in folder.excluded], np.int64)
    if split == "test" or not len(vectors) or not len(tests):
        return []
    others = embedded(folder, tests, embed)
    parts = [others[start : start + _BATCH] for start in range(0, len(others), _BATCH)]
    count = sum(int(((part @ vectors.T).max(1) > threshold).sum()) for part in parts)
    if not count:
        return []
    what = f"{count} of {len(others)} faces of the test split look like persons of {split}"
    return [f"{what} (cosine above {threshold:g}): scores on the test split are flattered"]


def _numbered(identities: dict[str, str], names: Sequence[str], indices: np.ndarray) -> np.ndarray:
    """int64 [n]: equal for the same person."""
    numbers: dict[tuple[str, str], int] = {}
    keys = [
        ("identity", identities[name]) if name in identities else ("name", name)
        for name in (names[index] for index in indices)
    ]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)


def embedded(folder: PreparedFolder, indices: np.ndarray, embed: Embed) -> np.ndarray:
    """Embeddings of the faces `indices`, float32 [n, D]."""
    parts = [np.zeros((0, 1), np.float32)] if not len(indices) else []
    with tqdm(total=len(indices), desc="embedding faces", unit="img") as bar:
        for start in range(0, len(indices), _BATCH):
            images = np.stack([folder.image(int(i)) for i in indices[start : start + _BATCH]])
            parts.append(embed(images))
            bar.update(len(images))
    return np.concatenate(parts).astype(np.float32)
