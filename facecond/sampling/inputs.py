"""Conditions and noise as people give them -> checked tensors of one batch."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from diffusers.callbacks import MultiPipelineCallbacks, PipelineCallback
from torch import Tensor

from facecond.diffusion.guidance import Scale
from facecond.diffusion.paths import NUM_TRAIN_TIMESTEPS
from facecond.errors import UserError
from facecond.labels import (
    ABSENT,
    ANYTHING,
    ATTRIBUTES,
    MASK_CLASSES,
    PRESENT,
    UNSPECIFIED,
    attribute_index,
    check_exclusive,
    parse_emphasis,
)
from facecond.models.reference import Reference
from facecond.seeding import torch_generator

Attributes = Tensor | np.ndarray | str | Mapping[str, Any] | Sequence[Any]
"""int8 [B, 40] or [40]; `"Smiling=1.5,-Eyeglasses"`; `{"Smiling": True}`; or a list of such, one
per face."""
References = Reference | np.ndarray | Sequence[Reference | np.ndarray]
"""A reference, a picture whose appearance is taken, or several of either."""


def read_attributes(
    attributes: Attributes | None,
) -> tuple[np.ndarray | Tensor, dict[str, Scale]]:
    """Attributes in any form -> values [40] or [B, 40], and the emphasis by attribute. Those that
    exclude each other are refused where they are named; numbers may be those of data.

    Raises:
        UserError: an unknown name, with the nearest; a value that is none; a contradiction.
    """
    if attributes is None:
        return np.full(len(ATTRIBUTES), UNSPECIFIED, np.int8), {}
    if isinstance(attributes, str):
        values, emphasis = parse_emphasis(attributes)
        check_exclusive(values)
        return values, dict(emphasis)
    if isinstance(attributes, Mapping):
        values = _of_names(attributes)
        check_exclusive(values)
        return values, {}
    worded = not isinstance(attributes, Tensor | np.ndarray) and len(attributes) > 0
    if worded and all(isinstance(one, str | Mapping) for one in attributes):
        read = [read_attributes(one) for one in attributes]
        named = {name for _, emphasis in read for name in emphasis}
        scales: dict[str, Scale] = {
            name: torch.tensor([float(emphasis.get(name, 1.0)) for _, emphasis in read])
            for name in ATTRIBUTES
            if name in named
        }
        return np.stack([np.asarray(values) for values, _ in read]), scales
    return torch.as_tensor(attributes), {}


def _of_names(named: Mapping[str, Any]) -> np.ndarray:
    values = np.full(len(ATTRIBUTES), UNSPECIFIED, np.int8)
    for name, value in named.items():
        known = {True: PRESENT, False: ABSENT, None: UNSPECIFIED, UNSPECIFIED: UNSPECIFIED}
        if value not in known:  # 1 and 0 are True and False
            what = f"'{name}' is {value!r}"
            raise UserError(what, "attributes", "Use 1 (present), 0 (absent), -1 (unspecified).")
        values[attribute_index(name)] = known[value]
    return values


def batch_of(
    values: Tensor | np.ndarray,
    mask: Tensor | np.ndarray | None,
    seeds: Sequence[int] | None,
    generator: torch.Generator | Sequence[torch.Generator] | None,
    latents: Tensor | None,
    copies: int,
    references: Sequence[Reference] = (),
) -> int:
    """Number of faces: of what is given one per face, the first; else `copies`."""
    if seeds is not None:
        return len(seeds)
    if isinstance(generator, Sequence):
        return len(generator)
    if latents is not None:
        return len(latents)
    for given, single in ((values, 1), (mask, 2), *((each.image, 3) for each in references)):
        if given is not None and np.ndim(given) > single:
            return len(given) * copies
    return copies


def read_seeds(seeds: Iterable[int] | None) -> list[int] | None:
    """Seeds in any sequence -> whole numbers; None stays None.

    Raises:
        UserError: a single number, none at all, one that is not whole.
    """
    if seeds is None:
        return None
    try:
        found = [operator.index(seed) for seed in seeds]
    except TypeError:
        found = []
    if not found:
        what = f"{str(seeds)[:40]} is no list of whole numbers"
        raise UserError(what, "seeds", "Give one per face: seeds=[0, 1].")
    return found


def callback_tensors(callback: object, asked: Sequence[str], known: Sequence[str]) -> Sequence[str]:
    """Names of the tensors that a callback is given: those that it asks for itself, or `asked`.

    Raises:
        UserError: one that is not known.
    """
    if isinstance(callback, PipelineCallback | MultiPipelineCallbacks):
        asked = callback.tensor_inputs
    if unknown := set(asked) - set(known):
        what, fix = f"unknown tensors {sorted(unknown)}", f"Choose from: {', '.join(known)}."
        raise UserError(what, "callback_on_step_end_tensor_inputs", fix)
    return asked


def step_count(given: int | None, own: int) -> int:
    """Number of steps: as given, or the model's own.

    Raises:
        UserError: not from 1 to the number of noise levels that schedulers count.
    """
    try:
        count = int(own) if given is None else operator.index(given)
    except TypeError:
        count = 0
    if not 1 <= count <= NUM_TRAIN_TIMESTEPS:
        what = f"{given if given is not None else own} is no number of steps"
        raise UserError(what, "num_inference_steps", f"Use 1 to {NUM_TRAIN_TIMESTEPS}.")
    return count


def scales_per_face(scales: Mapping[str, Scale], batch: int, copies: int) -> dict[str, Scale]:
    """Scales of which each is one number or one per condition -> one number or one per face."""
    return {
        part: scale if np.ndim(scale) == 0 else _repeated(torch.as_tensor(scale), batch, copies)
        for part, scale in scales.items()
    }


def attribute_values(
    values: Tensor | np.ndarray, batch: int, copies: int, device: torch.device
) -> Tensor:
    """Values [40], [B / copies, 40] or [B, 40] -> int8 [B, 40]."""
    values = torch.as_tensor(values)
    values = values.expand(batch, -1) if values.ndim == 1 else _repeated(values, batch, copies)
    known = {PRESENT, ABSENT, UNSPECIFIED}
    if values.shape != (batch, len(ATTRIBUTES)) or not set(values.unique().tolist()) <= known:
        raise UserError(
            f"expected values -1, 0, 1 of shape {(batch, len(ATTRIBUTES))}, "
            f"got shape {tuple(values.shape)}",
            "attributes",
            "Give 40 values per seed.",
        )
    return values.to(device, torch.int8)


def mask_labels(
    mask: Tensor | np.ndarray | None, size: int, batch: int, copies: int, device: torch.device
) -> Tensor:
    """Mask [S, S], [B / copies, S, S], [B, S, S] or None (all open) -> uint8 [B, S, S]."""
    if mask is None:
        mask = np.full((size, size), ANYTHING, np.uint8)
    labels = torch.as_tensor(mask)
    labels = labels.expand(batch, -1, -1) if labels.ndim == 2 else _repeated(labels, batch, copies)
    if labels.shape != (batch, size, size):
        raise UserError(
            f"expected shape {(batch, size, size)}, got {tuple(labels.shape)}",
            "mask",
            f"Resize it to {size} x {size} by nearest neighbour.",
        )
    if bad := sorted(set(labels.unique().tolist()) - set(range(len(MASK_CLASSES))) - {ANYTHING}):
        raise UserError(f"unknown classes {bad}", "mask", "Use 0..18, and 255 for anything.")
    return labels.to(device, torch.uint8)


def read_references(references: References | None) -> list[Reference]:
    """References in any form -> a list; a picture or a stack of pictures is one reference.

    Raises:
        UserError: what is given is no picture.
    """
    if references is None:
        return []
    several = references if isinstance(references, Sequence) else [references]
    return [one if isinstance(one, Reference) else Reference(one) for one in several]


def reference_faces(references: Sequence[Reference], batch: int, copies: int) -> list[Reference]:
    """References of one picture per condition -> of one per face; others stay as they are."""
    return [
        replace(each, image=each.image.repeat(copies, 0))
        if each.image.ndim == 4 and len(each.image) > 1 and len(each.image) * copies == batch
        else each
        for each in references
    ]


def _repeated(given: Tensor, batch: int, copies: int) -> Tensor:
    """One entry per condition -> one per face, the copies of a condition side by side."""
    return given.repeat_interleave(copies, 0) if len(given) * copies == batch else given


def noise_of_seeds(seeds: Sequence[int], shape: tuple[int, ...]) -> Tensor:
    """Noise float32 [B, C, h, w]; that of a seed is the same in any batch and on any device."""
    return torch.stack(
        [torch.randn(shape, generator=torch_generator(seed, "latents")) for seed in seeds]
    )


def noise_of_generators(
    generator: torch.Generator | Sequence[torch.Generator], batch: int, shape: tuple[int, ...]
) -> Tensor:
    """Noise float32 [B, C, h, w], drawn face by face: from one generator in turn, or from one
    each.

    Raises:
        UserError: not as many generators as faces.
    """
    each = [generator] * batch if isinstance(generator, torch.Generator) else list(generator)
    if len(each) != batch:
        what = f"{len(each)} generators for {batch} faces"
        raise UserError(what, "generator", "Give one, or one per face.")
    return torch.stack([torch.randn(shape, generator=g, device=g.device).cpu() for g in each])


def given_noise(latents: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Noise of one's own, float32; raises `UserError` where its shape is another."""
    if tuple(latents.shape) != shape:
        what = f"expected shape {shape}, got {tuple(latents.shape)}"
        raise UserError(what, "latents", "Give noise for each face.")
    return latents.to(torch.float32)
