"""Condition encoders: attributes and masks -> tokens; the only place that drops conditions.

Every condition has a null form: attributes all unspecified (-1), a mask that is "anything" (255)
everywhere. Hiding a condition *is* giving its null form, in training as in sampling.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from einops import rearrange
from torch import Tensor, nn

from facecond.errors import UserError
from facecond.labels import ANYTHING, ATTRIBUTES, MASK_CLASSES, UNSPECIFIED

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
        if not self.reads:  # a module without tensors could not be saved
            self.register_buffer("nothing", torch.zeros(1))

    @property
    def reads(self) -> tuple[str, ...]:
        """Conditions that have an effect: of `attributes` and `mask`, those that are encoded."""
        whole = {source.split(":")[0] for source in self.sources}
        if self.config.plane_size:
            whole.add("mask")
        return tuple(source for source in ("attributes", "mask") if source in whole)

    def forward(self, attributes: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """int8 [B, 40], uint8 [B, H, W] -> tokens [B, T_s, D] by source."""
        tokens: dict[str, Tensor] = {}
        if "attributes" in self.reads:
            named = self.attributes(attributes)  # [B, 40, D]
            parts = {source: named[:, rows] for source, rows in self.rows.items()}
            tokens = {"attributes": named, **parts}  # [B, all or part of 40, D]
        if "mask" in self.sources:
            tokens["mask"] = self.mask(mask)  # [B, T, D]
        return {source: tokens[source] for source in self.sources}

    def planes(self, mask: Tensor) -> Tensor | None:
        """uint8 [B, H, W] -> planes [B, D, plane_size, plane_size]; None where it has none."""
        return self.mask_planes(mask) if self.config.plane_size else None


class ConditionDropout:
    """Hides conditions at random in training: whole sources, single attributes, mask regions.

    Args:
        attributes, mask, both: chances that a sample loses that source (or both); they exclude
            each other, so their sum is at most 1.
        single_attributes: chance that a sample has each attribute hidden with a chance of its own.
        mask_regions: chance that a sample has part of its mask opened: a rectangle, or classes.
        layers: chance that a sample's conditions reach a random subset of layers only, drawn for
            each source by itself: then any sub-routing is of the kind seen in training.
        layer_keep: chance that a layer is in the subset.

    Raises:
        UserError: chances that add up to more than 1.
    """

    def __init__(
        self,
        attributes: float = 0.08,
        mask: float = 0.08,
        both: float = 0.05,
        single_attributes: float = 0.3,
        mask_regions: float = 0.3,
        layers: float = 0.0,
        layer_keep: float = 0.7,
    ) -> None:
        if attributes + mask + both > 1:
            raise UserError(
                "the chances of attributes, mask and both add up to more than 1",
                "dropout",
                "Lower one of them.",
            )
        self.attributes, self.mask, self.both = attributes, mask, both
        self.single_attributes, self.mask_regions = single_attributes, mask_regions
        self.layers, self.layer_keep = layers, layer_keep

    def __call__(
        self, attributes: Tensor, mask: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """int8 [B, 40], uint8 [B, H, W] -> the same with parts hidden (the inputs are kept)."""
        batch, height, width = mask.shape

        def uniform(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=generator).to(mask.device)

        # Single attributes: a share per sample, then a draw per attribute.
        hide = uniform(batch, len(ATTRIBUTES)) < uniform(batch, 1)  # [B, 40]
        hide &= uniform(batch, 1) < self.single_attributes
        # Mask regions: half the time a rectangle, else a random set of classes.
        corner = uniform(batch, 2, 2).sort(-1).values  # [B, axis, (low, high)]
        rows = (torch.arange(height, device=mask.device) + 0.5) / height
        columns = (torch.arange(width, device=mask.device) + 0.5) / width
        in_rows = (rows >= corner[:, 0, :1]) & (rows < corner[:, 0, 1:])  # [B, H]
        in_columns = (columns >= corner[:, 1, :1]) & (columns < corner[:, 1, 1:])  # [B, W]
        box = in_rows[:, :, None] & in_columns[:, None, :]  # [B, H, W]
        hidden_class = uniform(batch, 256) < uniform(batch, 1)  # [B, 256]
        classes = hidden_class.gather(1, mask.flatten(1).long()).view_as(mask)  # [B, H, W]
        region = torch.where(uniform(batch, 1, 1) < 0.5, box, classes)
        region &= uniform(batch, 1, 1) < self.mask_regions
        # Whole sources: one draw decides between attributes, mask, both and none.
        draw = uniform(batch, 1)
        no_attributes = draw < self.attributes + self.both
        no_mask = (draw >= self.attributes) & (draw < self.attributes + self.both + self.mask)
        hide |= no_attributes
        region |= no_mask[:, :, None]
        return attributes.masked_fill(hide, UNSPECIFIED), mask.masked_fill(region, ANYTHING)

    def drop_layers(self, gates: Tensor, batch: int, generator: torch.Generator) -> Tensor:
        """Gates [L, S] or [B, L, S] -> [B, L, S] with some at 0; the same gates where it is off."""
        if self.layers == 0:
            return gates
        shape = (batch, *gates.shape[-2:])
        chosen = torch.rand(batch, 1, 1, generator=generator) < self.layers  # [B, 1, 1]
        lost = torch.rand(shape, generator=generator) >= self.layer_keep  # [B, L, S]
        return gates.masked_fill((chosen & lost).to(gates.device), 0.0)
