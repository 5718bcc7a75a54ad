"""The small judges: own networks of half a million to a million parameters for 64 px faces."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class ConvBlock(nn.Sequential):
    """3x3 convolution, batch norm, ReLU."""

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(),
        )


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a skip."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            ConvBlock(channels, channels),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.inner(x))  # [B, C, H, W]


class SmallParser(nn.Module):
    """U-Net of three levels on 2x2 blocks of pixels.

    Args:
        width: channels of the finest level; the coarser ones have 2 and 4 times as many.
        classes: number of mask classes.
    """

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        w1, w2, w3, fine = width, 2 * width, 4 * width, max(width // 2, 8)
        self.level1 = nn.Sequential(ConvBlock(14, w1), ConvBlock(w1, w1))
        self.level2 = nn.Sequential(ConvBlock(w1, w2, 2), ResidualBlock(w2))
        self.level3 = nn.Sequential(ConvBlock(w2, w3, 2), ResidualBlock(w3))
        self.up2, self.merge2 = nn.Conv2d(w3, w2, 1), ResidualBlock(w2)
        self.up1, self.merge1 = nn.Conv2d(w2, w1, 1), ResidualBlock(w1)
        self.up0 = nn.Sequential(nn.Conv2d(w1, 4 * fine, 1), nn.PixelShuffle(2))
        self.head = nn.Sequential(ConvBlock(fine + 3, fine), nn.Conv2d(fine, classes, 1))

    def forward(self, images: Tensor) -> Tensor:
        x = functional.pixel_unshuffle(images, 2)  # [B, 12, H/2, W/2]
        x1 = self.level1(with_position(x))  # [B, w, H/2, W/2]
        x2 = self.level2(x1)  # [B, 2w, H/4, W/4]
        x3 = self.level3(x2)  # [B, 4w, H/8, W/8]
        x = self.merge2(_twice(self.up2(x3)) + x2)  # [B, 2w, H/4, W/4]
        x = self.merge1(_twice(self.up1(x)) + x1)  # [B, w, H/2, W/2]
        x = torch.cat([self.up0(x), images], 1)  # [B, w/2 + 3, H, W]
        return self.head(x)  # [B, classes, H, W]


class SmallTrunk(nn.Sequential):
    """Convolutions on 2x2 blocks of pixels: [B, channels, H, W] -> [B, 4 width, H/8, W/8]."""

    def __init__(self, width: int, channels: int = 3) -> None:
        super().__init__(
            nn.PixelUnshuffle(2),
            ConvBlock(4 * channels, width),
            ConvBlock(width, width),
            ConvBlock(width, 2 * width, 2),
            ResidualBlock(2 * width),
            ConvBlock(2 * width, 4 * width, 2),
            ResidualBlock(4 * width),
        )


def with_position(x: Tensor) -> Tensor:
    """Add two channels, the place of each pixel in [-1, 1]: it tells left eyes from right ones."""
    batch, _, height, width = x.shape
    rows = torch.linspace(-1, 1, height, device=x.device, dtype=x.dtype)
    columns = torch.linspace(-1, 1, width, device=x.device, dtype=x.dtype)
    place = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))  # [2, H, W]
    return torch.cat([x, place.expand(batch, -1, -1, -1)], 1)  # [B, C + 2, H, W]


def _twice(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")  # [B, C, 2H, 2W]
