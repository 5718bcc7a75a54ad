"""Condition encoders: attributes, masks and evidence of a reference face -> tokens.

Attributes and masks have a null form: all unspecified (-1), "anything" (255) everywhere. Hiding one
of them *is* giving its null form, in training as in sampling. A reference has none: it is hidden by
a gate of zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.utils.accelerate_utils import apply_forward_hook
from einops import rearrange
from torch import Tensor, nn

from facecond.labels import ANYTHING, ATTRIBUTES, MASK_CLASSES
from facecond.models.qformer import QFormer, instruction_index, source_of

OCCUPANCY = 8
"""A class token knows the share of each cell of an 8 x 8 grid that its class covers."""
ABSENT, PRESENT, UNKNOWN = range(3)


class AttributeEncoder(nn.Module):
    """40 tokens: a name embedding plus one for the attribute's value.

    Present and absent start as opposites around unspecified, so that the first thing that even a
    uniform attention passes on is which attributes a face has.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.name = nn.Parameter(torch.randn(len(ATTRIBUTES), dim))
        direction = torch.randn(len(ATTRIBUTES), dim)
        # Rows by value modulo 3: absent 0, present 1, unspecified -1.
        values = torch.stack([-direction, direction, torch.zeros_like(direction)], 1)
        self.value = nn.Parameter(values)

    def forward(self, attributes: Tensor) -> Tensor:
        """Values int8 [B, 40] (1 present, 0 absent, -1 unspecified) -> tokens [B, 40, D]."""
        rows = torch.arange(len(ATTRIBUTES), device=attributes.device)  # [40]
        chosen = self.value[rows, attributes.long() % 3]  # -1 is row 2: [B, 40, D]
        return self.name + chosen  # [B, 40, D]


class MaskPlanes(nn.Module):
    """A grid of features that keep every pixel's class.

    A grid cell sees its pixels unshuffled rather than resampled, so a class one pixel thin still
    reaches it.

    Args:
        dim: features per cell.
        image_size: side of the mask in pixels, a multiple of `grid`.
        grid: side of the grid.
        label_dim: width of the label embedding.
    """

    def __init__(self, dim: int, image_size: int, grid: int, label_dim: int = 12) -> None:
        super().__init__()
        self.cell = image_size // grid
        self.label = nn.Embedding(len(MASK_CLASSES) + 1, label_dim)  # the last one is "anything"
        self.cells = nn.Sequential(
            nn.Conv2d(label_dim * self.cell**2, dim // 2, 1),
            nn.SiLU(),
            nn.Conv2d(dim // 2, dim // 2, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(dim // 2, dim, 1),
        )

    def forward(self, mask: Tensor) -> Tensor:
        """Mask uint8 [B, H, W] (0..18, 255 = anything) -> features [B, D, grid, grid]."""
        embedded = rearrange(
            self.label(_labels(mask)),
            "b (h p) (w q) e -> b (e p q) h w",
            p=self.cell,
            q=self.cell,
        )  # [B, E p q, grid, grid]
        return self.cells(embedded)  # [B, D, grid, grid]


class MaskEncoder(MaskPlanes):
    """grid x grid tokens that keep every pixel's class, and 19 class tokens.

    A class token says absent, present (with an occupancy map) or unknown: while any part of the
    mask is open, a class that is not seen may still be there.
    """

    def __init__(self, dim: int, image_size: int, grid: int, label_dim: int = 12) -> None:
        super().__init__(dim, image_size, grid, label_dim)
        self.name = nn.Parameter(torch.randn(len(MASK_CLASSES), dim))
        self.state = nn.Parameter(torch.randn(len(MASK_CLASSES), 3, dim))
        self.occupancy = nn.Linear(OCCUPANCY**2, dim, bias=False)

    def forward(self, mask: Tensor) -> Tensor:
        """Mask uint8 [B, H, W] (0..18, 255 = anything) -> tokens [B, grid * grid + 19, D]."""
        cells = rearrange(super().forward(mask), "b d h w -> b (h w) d")  # [B, grid^2, D]
        anything = len(MASK_CLASSES)
        shares = class_shares(_labels(mask))  # [B, 20, 64]
        seen = shares[:, :anything].sum(-1) > 0  # [B, 19]
        open_mask = (shares[:, anything].sum(-1) > 0)[:, None]  # [B, 1]
        state = torch.where(seen, PRESENT, torch.where(open_mask, UNKNOWN, ABSENT))  # [B, 19]
        rows = torch.arange(anything, device=mask.device)
        classes = self.name + self.state[rows, state]  # [B, 19, D]
        classes = classes + self.occupancy(shares[:, :anything].to(classes.dtype))  # [B, 19, D]
        return torch.cat([cells, classes], 1)  # [B, grid^2 + 19, D]


def _labels(mask: Tensor) -> Tensor:
    """Mask uint8 (0..18, 255) -> int64 with 19 for anything."""
    return torch.where(mask == ANYTHING, len(MASK_CLASSES), mask.long())


def class_shares(labels: Tensor) -> Tensor:
    """Labels int64 [B, H, W] in 0..19 -> share of each 8 x 8 cell per class, [B, 20, 64].

    Counted with one histogram over (sample, class, cell), which never makes a one-hot picture.
    """
    batch, height, width = labels.shape
    num_labels, cells = len(MASK_CLASSES) + 1, OCCUPANCY**2
    rows = torch.arange(height, device=labels.device) * OCCUPANCY // height
    columns = torch.arange(width, device=labels.device) * OCCUPANCY // width
    cell = rows[:, None] * OCCUPANCY + columns  # [H, W]
    sample = torch.arange(batch, device=labels.device)[:, None, None]
    keys = (sample * num_labels + labels) * cells + cell  # [B, H, W]
    counts = torch.zeros(batch * num_labels * cells, device=labels.device)
    counts.index_add_(0, keys.flatten(), counts.new_ones(()).expand(keys.numel()))
    return counts.view(batch, num_labels, cells) * (cells / (height * width))


class ConditionEncoder(ModelMixin, ConfigMixin):
    """Attributes and mask -> condition tokens by source; the mask may become planes instead.

    Args:
        dim: width of a token.
        image_size: side of the masks in pixels.
        mask_grid: side of the mask's token grid; divides `image_size`.
        sources: those that the denoiser's routing names; only their encoders are made.
        geometry: names of the attributes of `attributes:geometry`, where the routing has parts; the
            others are `attributes:appearance`.
        plane_size: where it is not 0 the mask is no source: it enters beside the latents as `dim`
            planes of this side.
        reference: arguments of the `QFormer` but `out_dim`, where a source is of a reference.
        instructions: those that a training has taught.
    """

    @register_to_config
    def __init__(
        self,
        dim: int = 128,
        image_size: int = 64,
        mask_grid: int = 16,
        sources: Sequence[str] = ("attributes", "mask"),
        geometry: Sequence[str] = (),
        plane_size: int = 0,
        reference: Mapping[str, Any] | None = None,
        instructions: Sequence[str] = (),
    ) -> None:
        super().__init__()
        if image_size % mask_grid:
            raise ValueError(f"mask_grid {mask_grid} does not divide image_size {image_size}")
        self.sources = tuple(sources)
        self.rows = {
            "attributes:geometry": [r for r, a in enumerate(ATTRIBUTES) if a in geometry],
            "attributes:appearance": [r for r, a in enumerate(ATTRIBUTES) if a not in geometry],
        }
        if any(source.startswith("attributes") for source in sources):
            self.attributes = AttributeEncoder(dim)
        if "mask" in sources:
            self.mask = MaskEncoder(dim, image_size, mask_grid)
        if plane_size:
            self.mask_planes = MaskPlanes(dim, image_size, plane_size)
        self.references = tuple(s for s in sources if s.split(":")[0] == "reference")
        if self.references:
            self.qformer = QFormer(**dict(reference or {}), out_dim=dim)
        if not self.reads and not self.references:  # a module without tensors could not be saved
            self.register_buffer("nothing", torch.zeros(1))

    @property
    def reads(self) -> tuple[str, ...]:
        """Conditions that have an effect: of `attributes` and `mask`, those that are encoded."""
        whole = {source.split(":")[0] for source in self.sources}
        if self.config.plane_size:
            whole.add("mask")
        return tuple(source for source in ("attributes", "mask") if source in whole)

    def forward(
        self,
        attributes: Tensor,
        mask: Tensor,
        evidence: Tensor | None = None,
        instructions: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """int8 [B, 40], uint8 [B, H, W] -> tokens [B, T_s, D] by source.

        Args:
            evidence: of reference faces, [B, N, E], or [B, R, N, E] where each source has its own;
                without it there are no tokens of references.
            instructions: what to take from them, int64 [B, R], a column per source of
                `references`.
        """
        tokens: dict[str, Tensor] = {}
        if "attributes" in self.reads:
            named = self.attributes(attributes)  # [B, 40, D]
            parts = {source: named[:, rows] for source, rows in self.rows.items()}
            tokens = {"attributes": named, **parts}  # [B, all or part of 40, D]
        if "mask" in self.sources:
            tokens["mask"] = self.mask(mask)  # [B, T, D]
        if evidence is not None and instructions is not None:
            for column, source in enumerate(self.references):
                seen = evidence if evidence.ndim == 3 else evidence[:, column]  # [B, N, E]
                tokens[source] = self.qformer(seen, instructions[:, column], source)
        return {source: tokens[source] for source in self.sources if source in tokens}

    @property
    def taught(self) -> tuple[str, ...]:
        """What it was taught to take from a reference, and has a source for."""
        known = self.config.instructions
        return tuple(take for take in known if source_of(take) in self.references)

    @apply_forward_hook
    def planes(self, mask: Tensor) -> Tensor | None:
        """uint8 [B, H, W] -> planes [B, D, plane_size, plane_size]; None where it has none."""
        return self.mask_planes(mask) if self.config.plane_size else None

    @apply_forward_hook
    def read_reference(self, evidence: Tensor, take: str) -> Tensor:
        """Evidence of reference faces [B, N, E] -> tokens of what is taken from them [B, Q, D].

        Args:
            take: an instruction of one of the sources in `references`.
        """
        asked = torch.full((len(evidence),), instruction_index(take), device=evidence.device)
        return self.qformer(evidence.to(self.dtype), asked, source_of(take))
