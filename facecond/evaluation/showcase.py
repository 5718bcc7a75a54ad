"""Pictures that show control: one thing changed at a time, everything else held fixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from facecond.data.prepared import PreparedFolder
from facecond.evaluation.conditions import OPENED, partly_open, switched
from facecond.evaluation.report_parts import PartialMasks, SharedAttributes, Toggles, describe
from facecond.labels import ATTRIBUTES, MASK_CLASSES, PRESENT, UNSPECIFIED
from facecond.models.reference import Reference
from facecond.seeding import key_of

TOGGLED = (
    "Blond_Hair", "Black_Hair", "Gray_Hair", "Pale_Skin", "Rosy_Cheeks", "Wearing_Lipstick",
    "Heavy_Makeup", "Mustache", "5_o_Clock_Shadow", "Young",
)  # fmt: skip
"""Attributes of appearance: they can change while the mask stays."""
SHARED = ("Blond_Hair", "Rosy_Cheeks", "Wearing_Lipstick")
"""Attributes of appearance that are shown together, over several masks."""


class Sampler:
    """Calls a pipeline with settings and an index-keyed seed."""

    def __init__(self, pipeline: Any, seed: int, settings: Mapping[str, Any]) -> None:
        self.pipeline, self.seed, self.settings = pipeline, seed, dict(settings)

    def __call__(
        self,
        attributes: np.ndarray,
        masks: np.ndarray,
        seeds: Sequence[int],
        references: Sequence[Reference] = (),
    ) -> np.ndarray:
        """int8 [n, 40], uint8 [n, S, S], n numbers -> faces uint8 [n, S, S, 3]."""
        keyed = [key_of(self.seed, "showcase", int(number)) >> 33 for number in seeds]
        taken = {"reference": references} if references else {}
        return self.pipeline(
            attributes=attributes, mask=masks, seeds=keyed, **taken, **self.settings
        ).images


def toggles(sample: Sampler, folder: PreparedFolder, row: int, names: Sequence[str]) -> Toggles:
    """One mask and seed of a bare-headed face; each of up to six attributes off and on.

    Empty if none of `TOGGLED` is among `names`, the attributes that are judged.
    """
    used = [name for name in TOGGLED if name in names][:6]
    base, mask = folder.attributes[row], folder.mask(row)
    if not used:
        nothing = np.zeros((0, *mask.shape, 3), np.uint8)
        return Toggles(mask=mask, names=used, off=nothing, on=nothing)
    pairs = [switched(base, name) for name in used]
    off, on = (np.stack(side) for side in zip(*pairs, strict=True))
    masks = np.repeat(mask[None], 2 * len(used), 0)
    faces = sample(np.concatenate([off, on]), masks, [0] * (2 * len(used)))
    return Toggles(mask=mask, names=used, off=faces[: len(used)], on=faces[len(used) :])


def shared_attributes(
    sample: Sampler, folder: PreparedFolder, rows: np.ndarray, names: Sequence[str]
) -> SharedAttributes | None:
    """One set of appearance attributes over several masks, with one seed.

    None if none of `SHARED` is among `names`, the attributes that are judged.
    """
    values = np.full(len(ATTRIBUTES), UNSPECIFIED, np.int8)
    used = [name for name in SHARED if name in names]
    if not used:
        return None
    values[[ATTRIBUTES.index(name) for name in used]] = PRESENT
    masks = np.stack([folder.mask(int(row)) for row in rows])
    faces = sample(np.repeat(values[None], len(masks), 0), masks, [1] * len(masks))
    return SharedAttributes(attributes=describe(values), masks=masks, samples=faces)


def partial_masks(
    sample: Sampler, folder: PreparedFolder, row: int, count: int = 5
) -> PartialMasks:
    """One mask with different parts left open, `count` seeds each."""
    whole = folder.mask(row)
    stacked = np.stack([partly_open(whole, variant) for variant in range(len(OPENED) + 1)])
    open_attributes = np.full((len(stacked) * count, len(ATTRIBUTES)), UNSPECIFIED, np.int8)
    faces = sample(open_attributes, np.repeat(stacked, count, 0), list(range(count)) * len(stacked))
    return PartialMasks(masks=stacked, samples=faces.reshape(len(stacked), count, *faces.shape[1:]))


def bare_headed(folder: PreparedFolder, rows: np.ndarray) -> int:
    """The first of the rows whose mask shows hair and neither hat nor glasses, or the first."""
    hair, hat, glasses = (MASK_CLASSES.index(name) for name in ("hair", "hat", "eye_g"))
    for row in rows:
        mask = folder.mask(int(row))
        if (mask == hair).mean() > 0.1 and not np.isin(mask, (hat, glasses)).any():
            return int(row)
    return int(rows[0])
