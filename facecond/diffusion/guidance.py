"""Guidance with one scale per part of the conditions, as one pure function.

    guided = full + sum_s (w_s - 1) (full - without_s)

A part s is a source (attributes, mask, reference) or a single attribute; `full` has every part,
`without_s` all but s. With every w_s = 1 the result is the jointly conditioned model. A part with
w_s = 1 needs no pass of its own; one with w_s = 0 is hidden from every pass. Scales may differ
between the images of a batch: then an image takes part in the passes that it needs.

The same form serves autoguidance (Karras et al. 2024): there `without` is a weaker model's word.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from facecond.errors import UserError, nearest

Scale = float | Tensor
"""One number, or one per image [B]."""


@dataclass(frozen=True)
class GuidancePlan:
    """Which rows a network's batch needs: the full pass of every image, then part by part the
    images that need a pass without it.

    Attributes:
        batch: images B.
        scales: part -> scale of each image, float [B], for the parts that need a pass.
        images: part -> images in the pass without it, int64 [n_s].
        hidden: part -> images that it is hidden from in every pass (scale 0), bool [B].
    """

    batch: int
    scales: Mapping[str, Tensor] = field(default_factory=dict)
    images: Mapping[str, Tensor] = field(default_factory=dict)
    hidden: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def rows(self) -> Tensor:
        """Image of each row of the network's batch, int64 [N]."""
        return torch.cat([torch.arange(self.batch), *self.images.values()])

    def lacks(self, part: str) -> Tensor:
        """Rows without a part, bool [N]: those of its own pass, and where it is hidden."""
        hidden = self.hidden.get(part, torch.zeros(self.batch, dtype=torch.bool))
        own = [torch.full((len(n),), name == part) for name, n in self.images.items()]
        return torch.cat([torch.zeros(self.batch, dtype=torch.bool), *own]) | hidden[self.rows]

    def select(self, parts: Collection[str]) -> tuple[GuidancePlan, Tensor]:
        """The plan with the passes of these parts alone, and which rows of this plan it keeps."""
        kept, start = [torch.arange(self.batch)], self.batch
        for part, images in self.images.items():
            if part in parts:
                kept.append(torch.arange(start, start + len(images)))
            start += len(images)
        chosen = GuidancePlan(
            self.batch,
            {part: scale for part, scale in self.scales.items() if part in parts},
            {part: images for part, images in self.images.items() if part in parts},
            self.hidden,
        )
        return chosen, torch.cat(kept)

    def split(self, predicted: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Rows [N, ...] -> full [B, ...] and, by part, without [B, ...]. An image that has no pass
        without a part keeps its full prediction there."""
        full, *own = predicted.split([self.batch, *map(len, self.images.values())])
        without = {}
        for (part, images), rows in zip(self.images.items(), own, strict=True):
            without[part] = rows
            if len(images) < self.batch:
                without[part] = full.index_copy(0, images.to(full.device), rows)
        return full, without


def plan(
    scales: Mapping[str, Scale],
    parts: Sequence[str],
    batch: int = 1,
    given: Mapping[str, Tensor] | None = None,
) -> GuidancePlan:
    """Passes needed for these scales; a part that is not named has scale 1.

    Args:
        parts: all that may be named, in the order of their passes.
        batch: images B.
        given: part -> images that have something of it, bool [B]: an image without it needs no pass
            to lack it. What is not named is given everywhere.

    Raises:
        UserError: an unknown part; a scale that is negative, not finite, or not one per image.
    """
    checked = {}
    for part, scale in scales.items():
        if part not in parts:
            raise UserError(f"unknown source '{part}'", "guidance", nearest(part, parts))
        values = torch.as_tensor(scale, dtype=torch.float32, device="cpu")
        if values.ndim and values.shape != (batch,):
            what = f"{tuple(values.shape)} scales of '{part}' for {batch} images"
            raise UserError(what, "guidance", "Give one number, or one per image.")
        if not ((values >= 0) & values.isfinite()).all():
            what = f"scale {scale} of '{part}' is out of range"
            raise UserError(what, "guidance", "Use 0 or more.")
        checked[part] = values.expand(batch)
    everywhere = torch.ones(batch, dtype=torch.bool)
    hidden = {p: values == 0 for p, values in checked.items() if (values == 0).any()}
    images, used = {}, {}
    for part in (p for p in parts if p in checked):
        values = checked[part]
        there = (given or {}).get(part, everywhere).cpu()
        needed = ((values != 0) & (values != 1) & there).nonzero()[:, 0]
        if len(needed):
            images[part], used[part] = needed, torch.where(values == 0, 1.0, values)
    return GuidancePlan(batch, used, images, hidden)


def guide(full: Tensor, without: Mapping[str, Tensor], scales: Mapping[str, Scale]) -> Tensor:
    """Combine predictions [B, ...] of equal shape; `without[s]` is the one that lacks part s."""
    guided = full
    for part, scale in scales.items():
        if isinstance(scale, Tensor) and scale.ndim:
            scale = scale.to(full).reshape(-1, *[1] * (full.ndim - 1))  # [B, 1, ...]
        guided = guided + (scale - 1) * (full - without[part])
    return guided


def rescale(guided: Tensor, full: Tensor, share: float) -> Tensor:
    """Bring the spread of each guided image [B, ...] back to that of the full prediction.

    Lin et al. 2023, eq. 15-16: guidance widens the values, which shows as saturated colours.

    Args:
        share: 0 leaves the image as it is, 1 gives it the full prediction's standard deviation.
    """
    axes = tuple(range(1, full.ndim))
    ratio = full.std(axes, keepdim=True) / guided.std(axes, keepdim=True)  # [B, 1, ...]
    return guided * (share * ratio + 1 - share)
