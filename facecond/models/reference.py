"""A reference face and what is to be taken from it, as a sampler is given it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from facecond.errors import UserError, nearest
from facecond.models.conditions import ConditionEncoder
from facecond.models.evidence import EvidenceEncoder
from facecond.models.first_stage import FirstStage
from facecond.models.pixels import pictures_to_network
from facecond.models.qformer import instruction_index, source_of

LARGEST_WEIGHT = 4.0


@dataclass(frozen=True)
class Reference:
    """A face to take something from.

    Attributes:
        image: uint8 [S, S, 3], one face for all samples, or [B, S, S, 3], one each; the side is
            the model's picture size.
        take: an instruction: `appearance`, `geometry`, `identity`, the name of an attribute, or
            `everything` for a model without instructions.
        weight: of its tokens' contribution; 0 is exactly without it.
    """

    image: np.ndarray
    take: str = "appearance"
    weight: float = 1.0


@dataclass(frozen=True)
class ReferenceTokens:
    """What a batch takes from its references.

    Attributes:
        tokens: source -> [B, Q, D], the mean over the references of that source.
        weights: source -> weight on its gates.
        strange: numbers of the references that are far from any face of the training.
    """

    tokens: dict[str, Tensor]
    weights: dict[str, float]
    strange: tuple[int, ...] = ()


def reference_tokens(
    references: Sequence[Reference],
    batch: int,
    conditions: ConditionEncoder,
    evidence: EvidenceEncoder | None,
    stage: FirstStage,
) -> ReferenceTokens:
    """Read the references; several of one source are averaged, by their weights.

    A source whose references all have weight 0 is left out.

    Raises:
        UserError: the model has no reference, an instruction that it was not taught (with the
            nearest), a weight out of range, a picture of another shape.
    """
    sums: dict[str, Tensor] = {}
    weights: dict[str, list[float]] = {}
    strange = []
    for number, reference in enumerate(references):
        source = _source(reference.take, conditions)
        if not 0 <= reference.weight <= LARGEST_WEIGHT:
            what = f"weight {reference.weight} is out of range"
            raise UserError(what, "--weight", f"Use 0 to {LARGEST_WEIGHT:g}.")
        if reference.weight == 0:
            continue
        pictures = _pictures(reference.image, batch, int(conditions.config.image_size))
        pixels = pictures_to_network(pictures, stage.device)  # [n, 3, S, S]
        assert evidence is not None  # a model with sources of a reference has one
        seen = evidence(pixels, stage.encode(pixels))  # [n, N, E]
        if bool((evidence.distance(seen) > evidence.limit).any()):
            strange.append(number)
        asked = torch.full((len(seen),), instruction_index(reference.take), device=seen.device)
        tokens = conditions.qformer(seen.to(conditions.dtype), asked, source)  # [n, Q, D]
        tokens = tokens.expand(batch, -1, -1) * reference.weight  # [B, Q, D]
        sums[source] = sums[source] + tokens if source in sums else tokens
        weights.setdefault(source, []).append(reference.weight)
    return ReferenceTokens(
        {source: total / sum(weights[source]) for source, total in sums.items()},
        {source: sum(each) / len(each) for source, each in weights.items()},
        tuple(strange),
    )


def _source(take: str, conditions: ConditionEncoder) -> str:
    if not conditions.references:
        fix = "Train one with routing.preset=deadiff, or leave the reference out."
        raise UserError("this model was not trained with references", "--reference", fix)
    source = source_of(take)
    taught = list(conditions.config.instructions)
    if take not in taught or source not in conditions.references:
        raise UserError(f"this model was not taught to take '{take}'", "--take",
                        nearest(take, taught))  # fmt: skip
    return source


def _pictures(image: np.ndarray, batch: int, size: int) -> np.ndarray:
    pictures = image if image.ndim == 4 else image[None]
    if pictures.dtype != np.uint8 or pictures.shape[1:] != (size, size, 3) or len(pictures) not in (
        1, batch,
    ):  # fmt: skip
        raise UserError(
            f"expected uint8 pictures of {size} x {size} px, one or {batch}, got {image.dtype} of "
            f"shape {image.shape}",
            "reference",
            "Crop and resize them to the model's size.",
        )
    return pictures
