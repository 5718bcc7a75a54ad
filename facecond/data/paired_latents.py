"""Targets with a reference each: the latent cache, pairs and evidence as one data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from facecond.data.latents import LatentCache
from facecond.data.pairs.triples import Triples
from facecond.errors import UserError, nearest
from facecond.labels import ABSENT, PRESENT
from facecond.seeding import numpy_generator

RECONSTRUCTION, ATTRIBUTE, BOTH = "reconstruction", "attribute", "both"
LEAST_ALIKE = 2
"""Faces with an attribute, and without it, below which it cannot be learned from another face."""


def check_mix(mix: Mapping[str, float], tasks: Sequence[str]) -> None:
    """Raise `UserError` unless the shares are of these tasks and one of them is above 0."""
    for task, share in mix.items():
        if task not in tasks:
            raise UserError(f"unknown task '{task}'", "reference.mix", nearest(task, tasks))
        if not 0 <= share < float("inf"):
            raise UserError(f"share {share} of '{task}'", "reference.mix", "Use 0 or more.")
    if not sum(mix.values()) > 0:
        raise UserError("no task has a share", "reference.mix", "Give one a number above 0.")


def check_variants(variants: int) -> None:
    """Raise `UserError` unless each picture stays as it is: a mirrored target would not have its
    reference's layout."""
    if variants > 1:
        what, fix = "references need each picture as it is", "Set data.variants=1, data.flip=false."
        raise UserError(what, "data.variants", fix)


def stated_both_ways(attributes: np.ndarray) -> list[int]:
    """Columns of int8 [n, 40] in which enough faces are present, and enough absent."""
    counts = np.stack([(attributes == value).sum(0) for value in (PRESENT, ABSENT)])  # [2, 40]
    return [int(column) for column in np.flatnonzero((counts >= LEAST_ALIKE).all(0))]


class PairedLatents(Dataset[dict[str, torch.Tensor]]):
    """For each key (epoch, position) a task, a target and its reference, drawn by the key alone.

    An item is that of the `LatentCache` for the target, and

    - evidence: float32 [N, E], of the reference
    - task: int64 [], row of `tasks`
    - attribute: int64 [], the attribute that the task `attribute` is about, else -1
    - reference: int64 [], position of the reference
    - geometry_evidence, geometry_reference: where `both` has a share: of the reference that gives
      the geometry, which is another one in `both` alone

    In `reconstruction` and `attribute` the target is the position of the key itself (in `attribute`
    another one where nothing is known of that face); the reference of `attribute` is any other face
    of the same value. Of the other tasks a pair is drawn; of `both` a target that has a reference
    of its appearance and one of its geometry.

    Args:
        cache: of one variant (`check_variants`).
        pairs: task -> int64 [n, 2], positions of reference and target.
        evidence: [n, N, E] by position.
        tasks: all names, in the order that items count in.
        mix: task -> share; one that is not named is not drawn.
        attributes: columns that the task `attribute` may be about, of those that are stated both
            ways.
        seed: of the drawing.
        same_picture: the reference is the target itself.

    Raises:
        UserError: an unknown task, no share above 0, a task without pairs or attributes, a cache of
            variants.
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
        check_variants(cache.variants)
        check_mix(mix, tasks)
        self.tasks, self.shares = tuple(tasks), np.array([mix.get(t, 0.0) for t in tasks])
        self.cache, self.pairs, self.evidence = cache, dict(pairs), evidence
        self.seed, self.same_picture = seed, same_picture
        self._alike = {
            (column, value): np.flatnonzero(cache.attributes[:, column] == value)
            for column in stated_both_ways(cache.attributes)
            if column in attributes
            for value in (ABSENT, PRESENT)
        }
        self._telling = np.unique(np.concatenate([[], *self._alike.values()])).astype(np.int64)
        self._triples = Triples(self.pairs) if mix.get(BOTH, 0) > 0 else None
        found = {task: len(rows) for task, rows in pairs.items()}
        found |= {RECONSTRUCTION: len(cache), ATTRIBUTE: len(self._telling)}
        found[BOTH] = len(self._triples) if self._triples is not None else 0
        for task, share in zip(tasks, self.shares, strict=True):
            if share and not found.get(task):
                fix = "See `facecond data pairs`, or set its share to 0."
                raise UserError(f"there are no pairs for '{task}'", "reference.mix", fix)

    def __len__(self) -> int:
        return len(self.cache)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, torch.Tensor]:
        return self.__getitems__([key])[0]

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> list[dict[str, torch.Tensor]]:
        """The items of a batch."""
        drawn = [self._draw(*key) for key in keys]
        items = self.cache.__getitems__(
            [(epoch, drawn[row][2]) for row, (epoch, _) in enumerate(keys)]
        )
        for item, (reference, shape, _, task, attribute) in zip(items, drawn, strict=True):
            item["evidence"] = self._seen(reference)
            item["task"] = torch.tensor(task)
            item["attribute"] = torch.tensor(attribute)
            item["reference"] = torch.tensor(reference)
            if self._triples is not None:
                item["geometry_evidence"] = self._seen(shape)
                item["geometry_reference"] = torch.tensor(shape)
        return items

    def _seen(self, position: int) -> torch.Tensor:
        return torch.from_numpy(np.asarray(self.evidence[position], np.float32))  # [N, E]

    def _draw(self, epoch: int, position: int) -> tuple[int, int, int, int, int]:
        """Reference, reference of the geometry, target, task, attribute."""
        numbers = numpy_generator(self.seed, "pairs", int(epoch), int(position))
        task = int(numbers.choice(len(self.tasks), p=self.shares / self.shares.sum()))
        name, target, attribute = self.tasks[task], position, -1
        reference = shape = position
        if name == ATTRIBUTE:
            target, attribute, reference = self._alike_to(position, numbers)
            shape = reference
        elif name == BOTH and self._triples is not None:
            reference, shape, target = self._triples.draw(numbers)
        elif name != RECONSTRUCTION:
            rows = self.pairs[name]
            reference, target = (int(place) for place in rows[numbers.integers(len(rows))])
            shape = reference
        if self.same_picture:
            reference = shape = target
        return reference, shape, target, task, attribute

    def _alike_to(self, position: int, numbers: np.random.Generator) -> tuple[int, int, int]:
        """A face, the position if something is known of it; one of its attributes, and another face
        of the same value."""
        target = position
        if not (stated := self._stated(target)):
            target = int(numbers.choice(self._telling))
            stated = self._stated(target)
        attribute = int(numbers.choice(stated))
        rows = self._alike[attribute, int(self.cache.attributes[target, attribute])]
        place = int(numbers.integers(len(rows) - 1))
        return target, attribute, int(rows[place + (place >= np.searchsorted(rows, target))])

    def _stated(self, position: int) -> list[int]:
        values = self.cache.attributes[position]
        return [column for column, value in self._alike if values[column] == value]
