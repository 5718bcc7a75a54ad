"""Who is the same person: by file, by an embedding, or not known."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from tqdm import tqdm

from facecond.data.prepared import PreparedFolder
from facecond.data.writing import SPLITS

Embed = Callable[[np.ndarray], np.ndarray]
"""Pictures uint8 [B, H, W, 3] -> unit vectors float32 [B, D]: alike where the person is the same.
"""

_BATCH = 64


class Persons:
    """Whether two faces show one person.

    Attributes:
        known_by: "file", "embedding" or "unknown" (everybody counts as another person).
    """

    def __init__(
        self,
        known_by: str,
        numbers: np.ndarray | None = None,
        vectors: np.ndarray | None = None,
        threshold: float = 1.0,
    ) -> None:
        self.known_by = known_by
        self._numbers, self._vectors, self._threshold = numbers, vectors, threshold

    @classmethod
    def of(
        cls, folder: PreparedFolder, indices: np.ndarray, embed: Embed | None, threshold: float
    ) -> Persons:
        """The persons of the faces `indices` (int64 [n], rows of the folder).

        identities.csv decides where there is one, and a face that it does not name is a person of
        its own; else an embedding: a cosine above `threshold` is the same person.
        """
        if folder.identities is not None:
            return cls("file", numbers=_numbered(folder.identities, folder.names, indices))
        if embed is not None:
            return cls("embedding", vectors=_embedded(folder, indices, embed), threshold=threshold)
        return cls("unknown")

    def same(self, rows: slice, columns: slice) -> np.ndarray | bool:
        """bool [rows, columns], or False where nothing is known."""
        if self._numbers is not None:
            equal: np.ndarray = self._numbers[rows, None] == self._numbers[columns]
            return equal
        if self._vectors is not None:
            alike: np.ndarray = self._vectors[rows] @ self._vectors[columns].T > self._threshold
            return alike
        return False


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


def _numbered(identities: dict[str, str], names: Sequence[str], indices: np.ndarray) -> np.ndarray:
    """int64 [n]: equal for the same person."""
    numbers: dict[tuple[str, str], int] = {}
    keys = [
        ("identity", identities[name]) if name in identities else ("name", name)
        for name in (names[index] for index in indices)
    ]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)


def _embedded(folder: PreparedFolder, indices: np.ndarray, embed: Embed) -> np.ndarray:
    parts = [np.zeros((0, 1), np.float32)] if not len(indices) else []
    with tqdm(total=len(indices), desc="embedding faces", unit="img") as bar:
        for start in range(0, len(indices), _BATCH):
            images = np.stack([folder.image(int(i)) for i in indices[start : start + _BATCH]])
            parts.append(embed(images))
            bar.update(len(images))
    return np.concatenate(parts).astype(np.float32)
