"""A face parser of others under our contract: other inputs, sizes and label orders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import ModelMixin
from torch import Tensor, nn
from torch.nn import functional

from facecond.errors import UserError
from facecond.labels import MASK_CLASSES
from facecond.models.judges.backbones import imagenet_normalised
from facecond.models.judges.networks import FaceParser

SIDE = 512
"""The public parsers learned from CelebAMask-HQ at this size and read every picture at it."""
CHUNK = 8
"""Pictures read at a time, whatever the batch: at this size each needs some 100 MB."""


class PublicParser(FaceParser):
    """Wraps a network from ImageNet-normalised pictures of `SIDE` px to its own logits.

    Its `config["image_size"]` is 0: it takes pictures of any size.

    Args:
        network: [B, 3, SIDE, SIDE] -> logits [B, classes, h, w].
        classes: names of its classes in the order of its logits; all of `MASK_CLASSES` among them.
        name: what it is.
    """

    def __init__(self, network: nn.Module, classes: Sequence[str], name: str) -> None:
        ModelMixin.__init__(self)
        self.register_to_config(width=0, image_size=0, classes=MASK_CLASSES, backbone=name)
        self.network = network
        order = torch.tensor([list(classes).index(known) for known in MASK_CLASSES])
        self.register_buffer("order", order, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, 3, H, W] in [-1, 1], any size -> logits [B, 19, H, W] in our order."""
        return torch.cat([self._read(part) for part in images.split(CHUNK)])  # [B, 19, H, W]

    def _read(self, images: Tensor) -> Tensor:
        x = imagenet_normalised(_resized(images, (SIDE, SIDE)))  # [b, 3, 512, 512]
        logits = self.network(x)[:, self.order]  # [b, 19, h, w]
        return _resized(logits, images.shape[-2:])  # [b, 19, H, W]


def check_classes(classes: Sequence[str], where: str | Path) -> None:
    """Raise `UserError` unless each of our classes is among the parser's, and once."""
    missing = [name for name in MASK_CLASSES if name not in classes]
    twice = [name for name in MASK_CLASSES if list(classes).count(name) > 1]
    fix = f"Give a parser that knows the {len(MASK_CLASSES)} classes of CelebAMask-HQ."
    if missing:
        raise UserError(f"'id2label' lacks {', '.join(missing)}", where, fix)
    if twice:
        raise UserError(f"'id2label' names {', '.join(twice)} twice", where, fix)


def _resized(x: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear; with a filter where it shrinks, so that no pixel is skipped."""
    if x.shape[-2:] == torch.Size(size):
        return x
    shrinks = size[0] < x.shape[-2] or size[1] < x.shape[-1]
    return functional.interpolate(
        x, size=tuple(size), mode="bilinear", align_corners=False, antialias=shrinks
    )
