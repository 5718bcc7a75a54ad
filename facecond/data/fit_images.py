"""The pictures that a first stage is fitted to and its scale measured on, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from facecond.data.prepared import PreparedFolder

FIT_IMAGES = 1024
BATCH_PIXELS = 1 << 18
"""Of one batch: 64 pictures of 64 px, 1 of 512 px."""


class FitImages:
    """The first pictures of the generator's split; they are read anew whenever they are gone
    through, so that no more than a batch is in memory.

    Args:
        folder: the prepared data.
        limit: how many there are at most.

    Raises:
        UserError: the split is empty.
    """

    def __init__(self, folder: PreparedFolder, limit: int = FIT_IMAGES) -> None:
        self.folder, self.rows = folder, folder.indices("generator")[:limit]
        self.batch_size = max(1, BATCH_PIXELS // folder.image_size**2)

    def __iter__(self) -> Iterator[Tensor]:
        """Batches, float [B, 3, S, S] in [-1, 1]."""
        for start in range(0, len(self.rows), self.batch_size):
            rows = self.rows[start : start + self.batch_size]
            pictures = np.stack([self.folder.image(int(row)) for row in rows])
            yield torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
