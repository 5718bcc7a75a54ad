"""What the judges learn from: labelled faces in memory, and their variation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from facecond.data.prepared import PreparedFolder
from facecond.errors import UserError
from facecond.labels import MIRRORED_CLASSES, UNSPECIFIED

Kind = Literal["parser", "attributes"]
FEWEST = 8
"""Faces that a judge needs at least."""
SHIFT = 1 / 16
"""Largest random shift, as a share of the side."""


@dataclass
class Faces:
    """Pictures and truths: images u8 [N, 3, H, W], masks u8 [N, H, W], attributes i8 [N, 40]."""

    images: Tensor
    masks: Tensor
    attributes: Tensor

    def __getitem__(self, rows: np.ndarray) -> Faces:
        index = torch.from_numpy(rows)
        return Faces(self.images[index], self.masks[index], self.attributes[index])

    def to(self, device: torch.device) -> Faces:
        """The same faces on another device."""
        return Faces(self.images.to(device), self.masks.to(device), self.attributes.to(device))

    def __len__(self) -> int:
        return len(self.images)


def read_faces(folder: PreparedFolder, kind: Kind, progress: bool) -> Faces:
    """The faces of the `judges` split that have the truth `kind` learns from.

    Raises:
        UserError: there are fewer than `FEWEST`.
    """
    known = (folder.attributes != UNSPECIFIED).any(1)
    usable = folder.has_mask if kind == "parser" else known
    rows = [int(i) for i in folder.indices("judges") if usable[i]]
    if len(rows) < FEWEST:
        truth = "masks" if kind == "parser" else "attributes"
        raise UserError(
            f"only {len(rows)} faces of the judges' split have {truth}; {FEWEST} are needed",
            folder.root,
            "Prepare a folder with more labelled faces.",
        )
    bar = tqdm(rows, desc="read faces", unit="img", disable=not progress)
    pairs = [(folder.image(i), folder.mask(i)) for i in bar]
    images = torch.from_numpy(np.stack([image for image, _ in pairs])).permute(0, 3, 1, 2)
    masks = torch.from_numpy(np.stack([mask for _, mask in pairs]))
    return Faces(images.contiguous(), masks, torch.from_numpy(folder.attributes[rows]))


def augment(batch: Faces, generator: np.random.Generator) -> Faces:
    """Random flips, with left and right classes trading places, and shifts by a few pixels (the
    edge repeats). Colours stay: some attributes are colours."""
    count, _, height, width = batch.images.shape
    flip = torch.from_numpy(generator.random(count) < 0.5)
    reach = max(round(height * SHIFT), 1)
    shift = torch.from_numpy(generator.integers(-reach, reach + 1, size=(2, count, 1)))
    rows = (torch.arange(height) + shift[0]).clamp(0, height - 1)  # [B, H]
    columns = (torch.arange(width) + shift[1]).clamp(0, width - 1)  # [B, W]
    columns = torch.where(flip[:, None], columns.flip(1), columns)  # [B, W]
    swap = torch.arange(256, dtype=torch.uint8)
    for left, right in MIRRORED_CLASSES:
        swap[left], swap[right] = right, left
    item = torch.arange(count)[:, None, None]
    images = batch.images.permute(0, 2, 3, 1)[item, rows[:, :, None], columns[:, None, :]]
    masks = batch.masks[item, rows[:, :, None], columns[:, None, :]]  # [B, H, W]
    masks = torch.where(flip[:, None, None], swap[masks.long()], masks)  # [B, H, W]
    return Faces(images.permute(0, 3, 1, 2), masks, batch.attributes)


def to_network(images: Tensor) -> Tensor:
    """u8 [B, 3, H, W] -> float in [-1, 1], channels last."""
    return (images.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)
