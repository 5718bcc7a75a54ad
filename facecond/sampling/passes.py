"""The passes of guidance through one denoiser: conditions read once, for every step and pass."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facecond.diffusion.guidance import GuidancePlan, Scale, plan
from facecond.labels import ANYTHING, ATTRIBUTES, UNSPECIFIED
from facecond.models.attention import Conditions
from facecond.models.conditions import ConditionEncoder
from facecond.models.deep_features import DeepFeatures
from facecond.models.reference import Reference, ReferenceTokens
from facecond.models.routing import SOURCES
from facecond.models.unet import FaceUNet

GUIDED = (*SOURCES, "reference", *ATTRIBUTES)
"""What a scale of guidance may be given for: a source, or an attribute (its emphasis)."""

Autocast = Callable[[], AbstractContextManager]


@dataclass(frozen=True)
class Blend:
    """Conditions that tokens are led towards.

    Attributes:
        attributes: in any form that the pipeline takes; None = open.
        mask: uint8 [S, S] or [B, S, S]; None = open.
        share: 0 = not at all, 1 = all the way; one number, or one per face [B].
    """

    attributes: Any = None
    mask: Tensor | np.ndarray | None = None
    share: float | Tensor = 0.5


@dataclass(frozen=True)
class Given:
    """Checked conditions of a batch.

    Attributes:
        values: attributes int8 [B, 40].
        labels: masks uint8 [B, S, S].
        taken: of references, by the model that the passes are of.
        references: what it was taken from.
        towards: conditions whose tokens are mixed in, and the share of them, [B].
    """

    values: Tensor
    labels: Tensor
    taken: ReferenceTokens
    references: tuple[Reference, ...] = ()
    towards: tuple[Given, Tensor] | None = None

    def has(self, part: str) -> Tensor:
        """Images with something of a part, bool [B]."""
        if self.towards is not None:
            return self._has(part) | self.towards[0]._has(part)
        return self._has(part)

    def _has(self, part: str) -> Tensor:
        if part == "mask":
            return (self.labels != ANYTHING).flatten(1).any(1)
        if part == "attributes":
            return (self.values != UNSPECIFIED).any(1)
        if part in ATTRIBUTES:
            return self.values[:, ATTRIBUTES.index(part)] != UNSPECIFIED
        return torch.full((len(self.values),), bool(self.taken.tokens))


def reached(part: str, sources: Collection[str], rows: Mapping[str, Sequence[int]]) -> bool:
    """Whether sources carry something of a part.

    Args:
        part: one of `GUIDED`.
        rows: columns of the attributes of `attributes:geometry` and `attributes:appearance`.
    """
    if part not in ATTRIBUTES:
        return any(source.split(":")[0] == part for source in sources)
    column = ATTRIBUTES.index(part)
    return any(source == "attributes" or column in rows.get(source, ()) for source in sources)


class Passes:
    """A denoiser with the conditions of every pass, their keys and values computed once.

    Args:
        unet, encoder: of the model.
        guidance: which rows there are.
        given: conditions of the batch.
        autocast: number format of the denoiser.
        reuse: number of steps that deep features are used for; 1 = of their own alone.
    """

    def __init__(
        self,
        unet: FaceUNet,
        encoder: ConditionEncoder,
        guidance: GuidancePlan,
        given: Given,
        autocast: Autocast,
        reuse: int = 1,
    ) -> None:
        self.unet, self.plan, self.autocast = unet, guidance, autocast
        self.reuse, self._step, self._level = reuse, -1, float("nan")
        self.dtype = unet.dtype  # diffusers goes through all modules to find it
        unet.to(memory_format=unet.memory_format)
        self.rows = encoder.rows  # of attributes, by source
        rows = guidance.rows.to(given.values.device)  # [N]
        with autocast():
            tokens, planes = self._read(encoder, given, rows)
            if given.towards is not None:
                other, share = given.towards
                there, planes_there = self._read(encoder, other, rows)
                at = share.to(rows.device)[rows]  # [N]
                tokens = {s: _mixed(tokens[s], there[s], at) for s in tokens}
                if planes is not None and planes_there is not None:
                    planes = _mixed(planes, planes_there, at)
            tokens |= {source: read[rows] for source, read in given.taken.tokens.items()}
            self.conditions = unet.project_conditions(tokens, planes)  # of N rows
        self.weights = self._weights(given.taken)  # [N, 1, S] or None
        self._chosen: dict[frozenset[str], tuple[GuidancePlan, Tensor | None, Conditions]] = {}

    def __call__(
        self, x_t: Tensor, timestep: Tensor, log_snr: Tensor | None, guided: bool = True
    ) -> tuple[Tensor, dict[str, Tensor], Mapping[str, Scale]]:
        """Predictions for x_t [B, C, h, w], all passes as one batch of the network.

        Args:
            log_snr: [1], needed where the routing depends on it.
            guided: False leaves the full pass alone.

        Returns:
            full [B, C, h, w], by part the prediction without it, and the scales of these parts.
        """
        gates = self.unet.gates(log_snr, x_t.device)
        gates = gates if gates.ndim == 2 else gates[0]  # [L, S], of this noise level
        parts = self._active(gates) if guided else frozenset()
        chosen, rows, conditions = self._select(parts)
        factor = self.weights if self.weights is None or rows is None else self.weights[rows]
        conditions.gates = gates if factor is None else gates * factor  # [L, S] or [N, L, S]
        if conditions.deep is not None:
            if float(timestep) != self._level:  # Heun's method comes to each level twice
                self._step, self._level = self._step + 1, float(timestep)
            conditions.deep.begin(self._step, conditions.gates)
        at = chosen.rows.to(x_t.device)
        stacked = x_t[at].to(self.dtype)  # [N, C, h, w]
        with self.autocast():
            out = self.unet(stacked, timestep, conditions).sample.float()  # [N, C, h, w]
        return *chosen.split(out), chosen.scales

    def _read(
        self, encoder: ConditionEncoder, given: Given, rows: Tensor
    ) -> tuple[dict[str, Tensor], Tensor | None]:
        """Tokens by source and planes of N rows, each without what its pass lacks."""
        values, labels = given.values[rows], given.labels[rows]  # copies
        values[self.plan.lacks("attributes").to(rows.device)] = UNSPECIFIED
        labels[self.plan.lacks("mask").to(rows.device)] = ANYTHING
        for part in {*self.plan.images, *self.plan.hidden} & set(ATTRIBUTES):
            values[self.plan.lacks(part).to(rows.device), ATTRIBUTES.index(part)] = UNSPECIFIED
        return encoder(values, labels), encoder.planes(labels)

    def _active(self, gates: Tensor) -> frozenset[str]:
        """Parts that reach some layer at this noise level: the others change nothing."""
        on = {
            source
            for source, open_ in zip(
                self.unet.routing.sources, (gates != 0).any(0).tolist(), strict=True
            )
            if open_
        }
        if self.conditions.planes is not None:
            on.add("mask")
        return frozenset(part for part in self.plan.images if reached(part, on, self.rows))

    def _select(self, parts: frozenset[str]) -> tuple[GuidancePlan, Tensor | None, Conditions]:
        """Plan, rows (None = all) and conditions of the passes of these parts."""
        if parts not in self._chosen:
            chosen, rows = self.plan.select(parts)
            at, conditions = None, replace(self.conditions)
            if len(rows) < len(self.plan.rows):
                at = rows.to(self.unet.device)
                conditions = _rows_of(self.conditions, at)
            if self.reuse > 1:
                conditions.deep = DeepFeatures(self.reuse)
            self._chosen[parts] = chosen, at, conditions
        return self._chosen[parts]

    def _weights(self, taken: ReferenceTokens) -> Tensor | None:
        """Factor on the gates of each row and source, [N, 1, S]; 0 hides a reference. None where
        all are 1."""
        if not taken.tokens:
            return None
        lacks = self.plan.lacks("reference")  # [N]
        columns = [
            torch.where(lacks, 0.0, taken.weights.get(source, 1.0))
            if source in taken.tokens
            else torch.ones(len(lacks))
            for source in self.unet.routing.sources
        ]
        weights = torch.stack(columns, 1)[:, None]  # [N, 1, S]
        return None if bool((weights == 1).all()) else weights.to(self.unet.device)


def guidance_plan(
    scales: Mapping[str, Scale],
    given: Given,
    encoder: ConditionEncoder,
    routed: Sequence[str],
) -> GuidancePlan:
    """Passes for these scales; a part that the model does not read, or that an image has nothing
    of, needs none.

    Args:
        scales: by part (`GUIDED`).
        encoder: says which conditions the model reads.
        routed: sources that reach some layer.
    """
    batch = len(given.values)
    plan(scales, GUIDED, batch)  # checks every name and number, read or not
    sources = [*routed, *(["mask"] if encoder.config.plane_size else [])]
    read = {part: w for part, w in scales.items() if reached(part, sources, encoder.rows)}
    there = {part: given.has(part) for part in read}
    if (whole := read.get("attributes")) is not None:
        open_ = torch.as_tensor(whole).cpu().expand(batch) == 0  # hidden as a whole
        there |= {p: there[p].cpu() & ~open_ for p in there if p in ATTRIBUTES}
    return plan(read, GUIDED, batch, there)


def _mixed(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    """[N, ...] each; share [N] of the second."""
    share = share.reshape(-1, *[1] * (first.ndim - 1)).to(first.dtype)
    return torch.lerp(first, second, share)


def _rows_of(conditions: Conditions, rows: Tensor) -> Conditions:
    projected = {
        layer: {source: (k[rows], v[rows]) for source, (k, v) in pairs.items()}
        for layer, pairs in conditions.projected.items()
    }
    planes = None if conditions.planes is None else conditions.planes[rows]
    return replace(conditions, projected=projected, planes=planes)
