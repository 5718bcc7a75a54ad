"""Reference faces and what is to be taken from them: as a sampler is given them, and read."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from facecond.errors import UserError, nearest
from facecond.models.conditions import ConditionEncoder
from facecond.models.evidence import EvidenceEncoder
from facecond.models.first_stage import FirstStage
from facecond.models.pixels import eight_bits, pictures_to_network
from facecond.models.qformer import source_of

LARGEST_WEIGHT = 4.0


@dataclass(frozen=True)
class Reference:
    """A face to take something from.

    Attributes:
        image: [S, S, 3], one face for all samples, or [B, S, S, 3] or a list of pictures, one
            each; the side is the model's picture size. Given as uint8, uint16 or floats from 0 to
            1, kept as uint8.
        take: an instruction: `appearance`, `geometry`, `identity`, the name of an attribute, or
            `everything` for a model without instructions.
        weight: of its tokens' contribution; 0 is exactly without it.

    Raises:
        UserError: pictures of different sizes, or of other numbers.
    """

    image: np.ndarray
    take: str = "appearance"
    weight: float = 1.0

    def __post_init__(self) -> None:
        try:
            image = np.asarray(self.image)
        except ValueError:  # a list of unlike arrays
            fix = "Crop and resize them to the model's size."
            raise UserError("its pictures differ in size", "reference", fix) from None
        object.__setattr__(self, "image", eight_bits(image, "reference"))


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


@dataclass(frozen=True)
class ReferenceReader:
    """The parts of a model that read references.

    Attributes:
        conditions, stage: of the model.
        evidence: None where the model has no references.
        routed: sources that its routing leads to some layer.
        device: where it computes; parts that are offloaded wake there.
    """

    conditions: ConditionEncoder
    evidence: EvidenceEncoder | None
    stage: FirstStage
    routed: Collection[str]
    device: torch.device

    def __call__(self, references: Sequence[Reference], batch: int) -> ReferenceTokens:
        """Read the references; several of one source are averaged, by their weights.

        The weight on the gates of a source is the mean of its references' weights, weighted by
        themselves: references of equal weight have that one, and as a weight goes to 0 all becomes
        as without it. A source whose references all have weight 0 is left out.

        Raises:
            UserError: the model has no reference, an instruction that it was not taught (with the
                nearest), a weight out of range, a source that the routing leads nowhere, a picture
                of another shape.
        """
        sums: dict[str, Tensor] = {}
        weights: dict[str, list[float]] = {}
        strange = []
        for number, reference in enumerate(references):
            source = self._source(reference.take)
            if not 0 <= reference.weight <= LARGEST_WEIGHT:
                what = f"weight {reference.weight} is out of range"
                raise UserError(what, "--weight", f"Use 0 to {LARGEST_WEIGHT:g}.")
            if reference.weight == 0:
                continue
            if source not in self.routed:
                what = f"the routing in use leads '{source}' to no layer"
                raise UserError(what, "--routing", "Take another routing, or no reference.")
            seen = self._evidence(reference, batch)  # [n, N, E]
            if self._is_strange(seen):
                strange.append(number)
            tokens = self.conditions.read_reference(seen, reference.take)  # [n, Q, D]
            tokens = tokens.expand(batch, -1, -1) * reference.weight  # [B, Q, D]
            sums[source] = sums[source] + tokens if source in sums else tokens
            weights.setdefault(source, []).append(reference.weight)
        totals = {source: sum(each) for source, each in weights.items()}
        return ReferenceTokens(
            {source: tokens / totals[source] for source, tokens in sums.items()},
            {
                source: sum(w * (w / totals[source]) for w in each)
                for source, each in weights.items()
            },
            tuple(strange),
        )

    def takes(self, take: str) -> bool:
        """Whether the model was taught to take this, and its routing leads it somewhere."""
        return take in self.conditions.taught and source_of(take) in self.routed

    def _source(self, take: str) -> str:
        conditions = self.conditions
        if not conditions.references:
            fix = "Train one with routing.preset=deadiff, or leave the reference out."
            raise UserError("this model was not trained with references", "--reference", fix)
        source = source_of(take)
        taught = list(conditions.config.instructions)
        if take not in taught or source not in conditions.references:
            raise UserError(f"this model was not taught to take '{take}'", "--take",
                            nearest(take, taught))  # fmt: skip
        return source

    def _evidence(self, reference: Reference, batch: int) -> Tensor:
        pictures = _pictures(reference.image, batch, int(self.conditions.config.image_size))
        pixels = pictures_to_network(pictures, self.device)  # [n, 3, S, S]
        assert self.evidence is not None  # a model with sources of a reference has one
        return self.evidence(pixels, self.stage.encode(pixels))  # [n, N, E]

    def _is_strange(self, seen: Tensor) -> bool:
        assert self.evidence is not None
        return bool((self.evidence.distance(seen) > self.evidence.limit).any())


def _pictures(image: np.ndarray, batch: int, size: int) -> np.ndarray:
    pictures = image if image.ndim == 4 else image[None]
    if pictures.shape[1:] != (size, size, 3) or len(pictures) not in (1, batch):
        raise UserError(
            f"expected pictures of {size} x {size} px, one or {batch}, got shape {image.shape}",
            "reference",
            "Crop and resize them to the model's size.",
        )
    return pictures
