"""What the judges learn from: labelled faces, in memory or read when asked for."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from facecond.data.prepared import PreparedFolder
from facecond.data.splits import half_of
from facecond.errors import UserError
from facecond.labels import ANYTHING, UNSPECIFIED
from facecond.models.pixels import to_network

Kind = Literal["parser", "attributes"]
Split = Literal["judges", "training"]
Part = Literal["all", "a", "b"]
FEWEST = 8
"""Faces that a judge needs at least."""
MEMORY_LIMIT = 2 << 30
"""Bytes of pictures and masks up to which they are read once and kept: 44,000 faces of 128 px."""


@dataclass
class Faces:
    """Pictures and truths: images u8 [N, 3, H, W], masks u8 [N, H, W], attributes i8 [N, 40]."""

    images: Tensor
    masks: Tensor
    attributes: Tensor

    def to(self, device: torch.device) -> Faces:
        """The same faces on another device."""
        return Faces(self.images.to(device), self.masks.to(device), self.attributes.to(device))

    def __len__(self) -> int:
        return len(self.images)


class FaceSource:
    """Rows of a prepared folder; `source[positions]` gives their `Faces`.

    Args:
        folder: the prepared data.
        rows: int64 [N], rows of the folder.
        kind: a classifier needs no masks; its faces have 255 everywhere.
        kept: images u8 [N, 3, S, S] and masks u8 [N, S, S] of these rows, or None: then each face
            is read from its files whenever it is asked for.
    """

    def __init__(
        self,
        folder: PreparedFolder,
        rows: np.ndarray,
        kind: Kind,
        kept: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        self.folder, self.rows, self.kind, self._kept = folder, rows, kind, kept
        self._place = np.arange(len(rows))

    @property
    def attributes(self) -> Tensor:
        """Int8 [N, 40]."""
        return torch.from_numpy(self.folder.attributes[self.rows])

    @property
    def names(self) -> list[str]:
        """[N] names."""
        return [self.folder.names[row] for row in self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, positions: np.ndarray) -> Faces:
        attributes = torch.from_numpy(self.folder.attributes[self.rows[positions]])
        if self._kept is not None:
            place = torch.from_numpy(self._place[positions])
            return Faces(self._kept[0][place], self._kept[1][place], attributes)
        images, masks = _read(self.folder, self.rows[positions], self.kind)
        return Faces(images, masks, attributes)

    def relabelled(self, attributes: np.ndarray) -> FaceSource:
        """The same faces, sharing what is kept, with other attributes int8 [N, 40]."""
        folder = copy(self.folder)
        folder.attributes = folder.attributes.copy()
        folder.attributes[self.rows] = attributes
        other = FaceSource(folder, self.rows, self.kind, self._kept)
        other._place = self._place
        return other

    def subset(self, positions: np.ndarray) -> FaceSource:
        """Some of the faces, sharing what is kept."""
        part = FaceSource(self.folder, self.rows[positions], self.kind, self._kept)
        part._place = self._place[positions]
        return part


def read_faces(
    folder: PreparedFolder,
    kind: Kind,
    progress: bool,
    part: Part = "all",
    split: Split | Literal["test"] = "judges",
    fewest: int = FEWEST,
) -> FaceSource:
    """The faces of a split that have the truth `kind` learns from.

    Args:
        part: `all` of them, or the half `a` or `b` (see `splits.half_of`).
        split: `training` is the generator's and the judges' together: all but the test faces.
        fewest: how many there must be.

    Raises:
        UserError: there are fewer than `fewest`.
    """
    known = (folder.attributes != UNSPECIFIED).any(1)
    usable = folder.has_mask if kind == "parser" else known
    rows = [int(i) for i in rows_of(folder, split, part) if usable[i]]
    if len(rows) < fewest:
        truth = "masks" if kind == "parser" else "attributes"
        half = "" if part == "all" else f"half {part} of "
        whose = "judges'" if split == "judges" else split
        raise UserError(
            f"only {len(rows)} faces of {half}the {whose} split have {truth}; {fewest} are needed",
            folder.root,
            "Prepare a folder with more labelled faces.",
        )
    return read_rows(folder, np.array(rows, np.int64), kind, progress)


def read_rows(folder: PreparedFolder, rows: np.ndarray, kind: Kind, progress: bool) -> FaceSource:
    """The faces of rows int64 [N] of a folder, kept in memory where they are not too many."""
    if 4 * len(rows) * folder.image_size**2 > MEMORY_LIMIT:
        return FaceSource(folder, rows, kind)
    return FaceSource(folder, rows, kind, _read(folder, rows, kind, progress))


def rows_of(folder: PreparedFolder, split: str, part: Part) -> np.ndarray:
    """int64 [n]: the rows of a split (see `read_faces`) or of a half of it, in order."""
    splits = ("generator", "judges") if split == "training" else (split,)
    given = [folder.indices(s) for s in splits if len(splits) == 1 or (folder.splits == s).any()]
    rows = np.sort(np.concatenate(given))
    people = folder.identities or {}
    names = [folder.names[i] for i in rows]
    halves = [part if part == "all" else half_of(name, people.get(name, "")) for name in names]
    return rows[[half == part for half in halves]]


def pictures(faces: Faces) -> Tensor:
    """What a judge of pictures sees of faces: float [B, 3, H, W] in [-1, 1], channels last."""
    return to_network(faces.images).contiguous(memory_format=torch.channels_last)


def _read(
    folder: PreparedFolder, rows: np.ndarray, kind: Kind, progress: bool = False
) -> tuple[Tensor, Tensor]:
    size = folder.image_size
    images = torch.empty(len(rows), 3, size, size, dtype=torch.uint8)
    masks = torch.tensor(ANYTHING, dtype=torch.uint8).expand(len(rows), size, size)
    if kind == "parser":
        masks = torch.empty(len(rows), size, size, dtype=torch.uint8)
    for place, row in enumerate(tqdm(rows, desc="read faces", unit="img", disable=not progress)):
        images[place] = torch.from_numpy(folder.image(int(row))).permute(2, 0, 1)
        if kind == "parser":
            masks[place] = torch.from_numpy(folder.mask(int(row)))
    return images, masks
