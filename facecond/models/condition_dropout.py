"""Hiding conditions at random in training; nothing else drops them."""

from __future__ import annotations

import torch
from torch import Tensor

from facecond.errors import UserError
from facecond.labels import ANYTHING, ATTRIBUTES, UNSPECIFIED


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
