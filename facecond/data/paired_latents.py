"""Targets with a reference each: the latent cache, pairs and evidence as one data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from facecond.data.latents import LatentCache
from facecond.errors import UserError, nearest
from facecond.labels import UNSPECIFIED
from facecond.seeding import numpy_generator

RECONSTRUCTION, ATTRIBUTE = "reconstruction", "attribute"


class PairedLatents(Dataset[dict[str, torch.Tensor]]):
    """For each key (epoch, position) a task, a target and its reference, drawn by the key alone.

    An item is that of the `LatentCache` for the target, and

    - evidence: float32 [N, E], of the reference
    - task: int64 [], row of `tasks`
    - attribute: int64 [], the attribute that the task `attribute` is about, else -1
    - reference: int64 [], position of the reference

    In `reconstruction` and `attribute` the target is the position of the key itself; the reference
    of `attribute` is any other face of the same value. Of the other tasks a pair is drawn.

    Args:
        cache: of one variant: a mirrored target would not have its reference's layout.
        pairs: task -> int64 [n, 2], positions of reference and target.
        evidence: [n, N, E] by position.
        tasks: all names, in the order that items count in.
        mix: task -> share; one that is not named is not drawn.
        attributes: columns that the task `attribute` may be about.
        seed: of the drawing.
        same_picture: the reference is the target itself.

    Raises:
        UserError: an unknown task, no share above 0, a task without pairs, a cache of variants.
    """

    def __init__(
        self,
        cache: LatentCache,
        pairs: Mapping[str, np.ndarray],
        evidence: np.ndarray,
        tasks: Sequence[str],
        mix: Mapping[str, float],
        attributes: Sequence[int] = (),
        seed: int = 0,
        same_picture: bool = False,
    ) -> None:
        if cache.variants > 1:
            what, fix = (
                "references need each picture as it is",
                "Set data.variants=1, data.flip=false.",
            )
            raise UserError(what, "data.variants", fix)
        for task, share in mix.items():
            if task not in tasks:
                raise UserError(f"unknown task '{task}'", "reference.mix", nearest(task, tasks))
            if not 0 <= share < float("inf"):
                raise UserError(f"share {share} of '{task}'", "reference.mix", "Use 0 or more.")
        self.tasks, self.shares = tuple(tasks), np.array([mix.get(t, 0.0) for t in tasks])
        if not self.shares.sum() > 0:
            raise UserError("no task has a share", "reference.mix", "Give one a number above 0.")
        for task, share in zip(tasks, self.shares, strict=True):
            free = task in (RECONSTRUCTION, ATTRIBUTE)
            if share and not free and not len(pairs.get(task, ())):
                fix = "See `facecond data pairs`, or set its share to 0."
                raise UserError(f"there are no pairs for '{task}'", "reference.mix", fix)
        self.cache, self.pairs, self.evidence = cache, dict(pairs), evidence
        self.seed, self.same_picture = seed, same_picture
        self._alike = {
            (column, value): rows
            for column in attributes
            for value in (0, 1)
            if len(rows := np.flatnonzero(cache.attributes[:, column] == value)) > 1
        }

    def __len__(self) -> int:
        return len(self.cache)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, torch.Tensor]:
        return self.__getitems__([key])[0]

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> list[dict[str, torch.Tensor]]:
        """The items of a batch."""
        drawn = [self._draw(*key) for key in keys]
        items = self.cache.__getitems__(
            [(epoch, drawn[row][1]) for row, (epoch, _) in enumerate(keys)]
        )
        for item, (reference, _, task, attribute) in zip(items, drawn, strict=True):
            seen = np.asarray(self.evidence[reference], np.float32)
            item["evidence"] = torch.from_numpy(seen)
            item["task"] = torch.tensor(task)
            item["attribute"] = torch.tensor(attribute)
            item["reference"] = torch.tensor(reference)
        return items

    def _draw(self, epoch: int, position: int) -> tuple[int, int, int, int]:
        """Reference, target, task, attribute."""
        numbers = numpy_generator(self.seed, "pairs", int(epoch), int(position))
        task = int(numbers.choice(len(self.tasks), p=self.shares / self.shares.sum()))
        name, reference, target, attribute = self.tasks[task], position, position, -1
        if name == ATTRIBUTE:
            values = self.cache.attributes[position]
            stated = [c for c, v in self._alike if values[c] == v and v != UNSPECIFIED]
            if not stated:  # nothing is known of this face: it stands for itself
                task = self.tasks.index(RECONSTRUCTION)
            else:
                attribute = int(numbers.choice(stated))
                reference = int(numbers.choice(self._alike[attribute, int(values[attribute])]))
        elif name != RECONSTRUCTION:
            rows = self.pairs[name]
            reference, target = (int(place) for place in rows[numbers.integers(len(rows))])
        return target if self.same_picture else reference, target, task, attribute
