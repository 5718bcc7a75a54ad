"""Judges on torchvision networks: their features at five strides, joined from coarse to fine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import get_model
from torchvision.models.feature_extraction import create_feature_extractor

from facecond.errors import UserError
from facecond.models.judges.small import ConvBlock, with_position
from facecond.models.weights_file import read_weights

STRIDES = (2, 4, 8, 16, 32)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pictures in [0, 1], as torchvision's weights expect them."""


@dataclass(frozen=True)
class Backbone:
    """A network of torchvision.

    Attributes:
        nodes: its features at the strides of `STRIDES`.
        channels: of each of them.
        depthwise: whether most of its convolutions are; a CPU does not do those faster in bf16.
    """

    nodes: tuple[str, ...]
    channels: tuple[int, ...]
    depthwise: bool


BACKBONES: dict[str, Backbone] = {
    "resnet18": Backbone(
        ("relu", "layer1", "layer2", "layer3", "layer4"), (64, 64, 128, 256, 512), False
    ),
    "mobilenet_v3_large": Backbone(
        ("features.1", "features.3", "features.6", "features.12", "features.16"),
        (16, 24, 40, 112, 960),
        True,
    ),
    "efficientnet_b0": Backbone(
        ("features.1", "features.2", "features.3", "features.5", "features.7"),
        (16, 24, 40, 112, 320),
        True,
    ),
}
"""Small enough for a CPU, and good from 64 to 512 px."""


class Pyramid(nn.Module):
    """Feature pyramid (Lin et al. 2017, arXiv 1612.03144) that ends at one stride.

    Args:
        backbone: one of `BACKBONES`; built untrained.
        stride: of the features given, one of `STRIDES`.
        width: their channels.
    """

    def __init__(self, backbone: str, stride: int, width: int) -> None:
        super().__init__()
        kind = BACKBONES[backbone]
        nodes = {node: str(s) for node, s in zip(kind.nodes, STRIDES, strict=True)}
        self.backbone = create_feature_extractor(get_model(backbone, weights=None), nodes)
        for module in self.backbone.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 0.1  # mobilenet's 0.01 is for trainings of many thousand steps
        used = [c for c, s in zip(kind.channels, STRIDES, strict=True) if s >= stride]
        self.coarsest = nn.Conv2d(used[-1] + 2, width, 1)
        self.sides = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in used[:-1])
        self.merges = nn.ModuleList(ConvBlock(width, width) for _ in used[:-1])

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, 3, H, W] in [-1, 1] -> [B, width, H / stride, W / stride]."""
        levels = list(self.backbone(imagenet_normalised(images)).values())  # stride 2, ..., 32
        x = self.coarsest(with_position(levels[-1]))  # [B, width, H/32, W/32]
        finer = levels[-1 - len(self.sides) : -1]
        parts = zip(finer, self.sides, self.merges, strict=True)
        for level, side, merge in reversed(list(parts)):
            x = functional.interpolate(x, size=level.shape[-2:], mode="nearest")
            x = merge(x + side(level))  # [B, width, H/s, W/s]
        return x


class PyramidParser(nn.Module):
    """A pyramid down to stride 2, then pixels beside it: small classes keep their edges.

    Args:
        backbone: one of `BACKBONES`.
        width: channels of the finest level; the pyramid has twice as many.
        classes: number of mask classes.
    """

    def __init__(self, backbone: str, width: int, classes: int) -> None:
        super().__init__()
        fine = max(width // 2, 8)
        self.pyramid = Pyramid(backbone, 2, 2 * width)
        self.up = nn.Sequential(nn.Conv2d(2 * width, 4 * fine, 1), nn.PixelShuffle(2))
        self.head = nn.Sequential(ConvBlock(fine + 5, fine), nn.Conv2d(fine, classes, 1))

    def forward(self, images: Tensor) -> Tensor:
        x = self.up(self.pyramid(images))  # [B, w/2, H, W]
        x = torch.cat([x, with_position(images)], 1)  # [B, w/2 + 5, H, W]
        return self.head(x)  # [B, classes, H, W]


def imagenet_normalised(images: Tensor) -> Tensor:
    """[B, 3, H, W] in [-1, 1] -> with the mean and spread that torchvision's weights expect."""
    mean, std = (torch.tensor(v, device=images.device).view(3, 1, 1) for v in (MEAN, STD))
    return ((images / 2 + 0.5 - mean) / std).to(images.dtype)


def load_backbone(pyramid: Pyramid, backbone: str, path: str | Path) -> None:
    """Fill the network of a pyramid from a file with torchvision's weights of it.

    Raises:
        UserError: the file is missing, unreadable, or of another network.
    """
    fix = f"Give torchvision's weights of {backbone} (.pth or .safetensors)."
    weights = read_weights(path, fix)
    for name, tensor in pyramid.backbone.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        if name not in weights or weights[name].shape != tensor.shape:
            raise UserError(f"lacks '{name}' of the right shape", path, fix)
        if not torch.isfinite(weights[name]).all():
            raise UserError(f"'{name}' holds NaN or infinite values", path, fix)
    pyramid.backbone.load_state_dict(
        {name: weights.get(name, old) for name, old in pyramid.backbone.state_dict().items()}
    )
