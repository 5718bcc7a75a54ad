"""The batches of a judge's training: who is in them, and how they are varied."""

from __future__ import annotations

import numpy as np
import torch
from torch.utils.data import Dataset

from facecond.data.augmentation import FaceAugmentation
from facecond.labels import MIRRORED_CLASSES
from facecond.seeding import numpy_generator
from facecond.training.judge_faces import Faces, FaceSource, Kind

SHIFT = 1 / 16
"""Largest random shift of the plain variation, as a share of the side."""


class JudgeBatches(Dataset[Faces]):
    """Item k is the varied batch of step k: a function of seed, kind and k alone.

    Args:
        source: the faces.
        kind: of the judge.
        steps: length of the training.
        batch_size: faces per step.
        seed: of order and variation.
        augmentation: varies each face; None leaves it to `augment`, a flip and a shift.
    """

    def __init__(
        self,
        source: FaceSource,
        kind: Kind,
        steps: int,
        batch_size: int,
        seed: int,
        augmentation: FaceAugmentation | None = None,
    ) -> None:
        self.source, self.seed, self.kind, self.augmentation = source, seed, kind, augmentation
        self.rows: list[np.ndarray] = []
        order = np.empty(0, np.int64)
        for step in range(steps):
            while len(order) < batch_size:
                epoch = numpy_generator(seed, "judge", kind, "epoch", step)
                order = np.concatenate([order, epoch.permutation(len(source))])
            self.rows.append(order[:batch_size])
            order = order[batch_size:]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, step: int) -> Faces:
        batch = self.source[self.rows[step]]
        if self.augmentation is None:
            return augment(batch, numpy_generator(self.seed, "judge", self.kind, "step", step))
        images, masks = batch.images.permute(0, 2, 3, 1).numpy(), batch.masks.numpy()
        told = batch.attributes.numpy()
        if self.kind == "parser":
            told = np.full_like(told, -1)  # it reads no attribute: colours may change
        varied = [
            self.augmentation(image, mask, row, (self.seed, "judge", self.kind, step, place))
            for place, (image, mask, row) in enumerate(zip(images, masks, told, strict=True))
        ]
        return Faces(
            torch.from_numpy(np.stack([image for image, _ in varied])).permute(0, 3, 1, 2),
            torch.from_numpy(np.stack([mask for _, mask in varied])),
            batch.attributes,
        )


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
