"""A split as a torch dataset of faces, and the sampler whose order survives everything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from facecond.data.prepared import PreparedFolder
from facecond.seeding import numpy_generator

if TYPE_CHECKING:
    from facecond.data.augmentation import FaceAugmentation

Key = tuple[int, int]
"""(epoch, position in the split): names a sample together with its augmentation."""


@dataclass
class FaceBatch:
    """Faces of a batch.

    Attributes:
        image: uint8 [B, 3, H, W], RGB.
        attributes: int8 [B, 40]; 1 present, 0 absent, -1 unspecified.
        mask: uint8 [B, H, W]; 0..18, 255 = anything.
        index: int64 [B]; positions in the split.
    """

    image: torch.Tensor
    attributes: torch.Tensor
    mask: torch.Tensor
    index: torch.Tensor

    def __len__(self) -> int:
        return len(self.index)

    def to(self, device: torch.device | str) -> FaceBatch:
        """The batch on a device."""
        moved = {f.name: getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)}
        return FaceBatch(**moved)

    def pin_memory(self) -> FaceBatch:
        """The batch in pinned memory; called by a `DataLoader` that pins."""
        return FaceBatch(**{f.name: getattr(self, f.name).pin_memory() for f in fields(self)})


class FaceDataset(Dataset[FaceBatch]):
    """The faces of one split.

    An item is a `FaceBatch` of one face; `collate` joins them:
    `DataLoader(dataset, batch_sampler=IndexKeyedSampler(...), collate_fn=collate)`.

    Args:
        folder: the prepared data.
        split: generator, judges or test.
        augmentation: applied with the key (seed, "augment", epoch, position); None for none.
        seed: of the augmentation.

    Raises:
        UserError: the split is empty.
    """

    def __init__(
        self,
        folder: PreparedFolder,
        split: str,
        augmentation: FaceAugmentation | None = None,
        seed: int = 0,
    ) -> None:
        self.folder, self.augmentation, self.seed = folder, augmentation, seed
        self.rows = folder.indices(split)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Key | int) -> FaceBatch:
        """The face at a position of the split; a plain position stands for epoch 0."""
        epoch, position = key if isinstance(key, tuple) else (0, int(key))
        row = int(self.rows[position])
        image, mask = self.folder.image(row), self.folder.mask(row)
        attributes = self.folder.attributes[row]
        if self.augmentation is not None:
            augment_key = (self.seed, "augment", int(epoch), int(position))
            image, mask = self.augmentation(image, mask, attributes, augment_key)
        return FaceBatch(
            image=torch.from_numpy(image).permute(2, 0, 1)[None],
            attributes=torch.from_numpy(attributes)[None],
            mask=torch.from_numpy(mask)[None],
            index=torch.tensor([position]),
        )


def collate(items: Sequence[FaceBatch]) -> FaceBatch:
    """Join batches along the first axis."""
    joined = {f.name: torch.cat([getattr(i, f.name) for i in items]) for f in fields(FaceBatch)}
    joined["image"] = joined["image"].contiguous()
    return FaceBatch(**joined)


class IndexKeyedSampler(Sampler[list[Key]]):
    """Endless batch sampler: the order of samples is f(seed, epoch) alone.

    The stream of samples is the permutations of epoch 0, 1, 2, ... one after the other, without a
    break at the end of an epoch. Step k of all processes together takes the next
    `batch_size * world_size` samples of it, the first process the first `batch_size`, and so on:
    the order is the same for any number of worker processes, and for any number of training
    processes with the same total batch. One process that accumulates over several batches sees
    what several processes see at once.

    Args:
        num_samples: samples of an epoch.
        batch_size: samples per batch and process.
        seed: of the order.
        consumed: samples that all processes together have taken before; the state to resume from.
            The sampler does not count itself: a loader that fetches ahead asks for batches early.
        rank: this process.
        world_size: number of processes.
    """

    def __init__(
        self,
        num_samples: int,
        batch_size: int,
        seed: int,
        consumed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if num_samples < 1 or batch_size < 1 or consumed < 0 or not 0 <= rank < world_size:
            raise ValueError("num_samples, batch_size, consumed, rank or world_size out of range")
        self.num_samples, self.batch_size, self.seed = num_samples, batch_size, seed
        self.consumed, self.rank, self.world_size = consumed, rank, world_size

    def __iter__(self) -> Iterator[list[Key]]:
        epoch, order = -1, np.empty(0, np.int64)
        position = self.consumed + self.rank * self.batch_size
        while True:
            keys: list[Key] = []
            for _ in range(self.batch_size):
                if position // self.num_samples != epoch:
                    epoch = position // self.num_samples
                    generator = numpy_generator(self.seed, "order", epoch)
                    order = generator.permutation(self.num_samples)
                keys.append((epoch, int(order[position % self.num_samples])))
                position += 1
            yield keys
            position += (self.world_size - 1) * self.batch_size
