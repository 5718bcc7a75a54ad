"""face-parsing.PyTorch's BiSeNet (Yu et al. 2018, arXiv 1808.00897; ResNet-18 as context path).

Written anew after github.com/zllrunning/face-parsing.PyTorch, with the names of its modules, so
that its published state dict (`79999_iter.pth`) loads. That network was trained with flips that
left the classes of the subject's left and right where they were (its pull request 26): what it
says of left and right eyes, brows and ears is not to be relied on.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import resnet18
from torchvision.models._utils import IntermediateLayerGetter

from facecond.labels import LABEL_ORDERS
from facecond.models.judges.public import PublicParser
from facecond.models.weights_file import load_exactly

CLASSES = LABEL_ORDERS["bisenet"]
_FIX = "Give the state dict of face-parsing.PyTorch (79999_iter.pth), or the folder of a parser."


class ConvBNReLU(nn.Module):
    """Convolution that keeps the size, batch norm, ReLU."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int = 3) -> None:
        super().__init__()
        padding = kernel // 2
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, padding=padding, bias=False)
        self.bn = nn.BatchNorm2d(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.bn(self.conv(x)))  # [B, C, H, W]


class AttentionRefinement(nn.Module):
    """Features times a gate per channel from their mean."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = ConvBNReLU(channels_in, channels_out)
        self.conv_atten = nn.Conv2d(channels_out, channels_out, 1, bias=False)
        self.bn_atten = nn.BatchNorm2d(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)  # [B, C, H, W]
        gate = self.bn_atten(self.conv_atten(_mean(x)))  # [B, C, 1, 1]
        return x * torch.sigmoid(gate)  # [B, C, H, W]


class ContextPath(nn.Module):
    """ResNet-18 and the way back up to stride 8."""

    def __init__(self) -> None:
        super().__init__()
        taps = {"layer2": "8", "layer3": "16", "layer4": "32"}
        self.resnet = IntermediateLayerGetter(resnet18(weights=None), taps)
        self.arm16, self.arm32 = AttentionRefinement(256, 128), AttentionRefinement(512, 128)
        self.conv_head32, self.conv_head16 = ConvBNReLU(128, 128), ConvBNReLU(128, 128)
        self.conv_avg = ConvBNReLU(512, 128, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        eighth, sixteenth, last = self.resnet(x).values()  # [B, 128 | 256 | 512, H/8 .. H/32, ..]
        x = self.arm32(last) + self.conv_avg(_mean(last))  # [B, 128, H/32, W/32]
        x = coarse = self.conv_head32(_nearest(x, sixteenth))  # [B, 128, H/16, W/16]
        x = self.conv_head16(_nearest(self.arm16(sixteenth) + x, eighth))  # [B, 128, H/8, W/8]
        return eighth, x, coarse


class FeatureFusion(nn.Module):
    """Two streams joined, then strengthened channel by channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convblk = ConvBNReLU(channels, channels, 1)
        self.conv1 = nn.Conv2d(channels, channels // 4, 1, bias=False)
        self.conv2 = nn.Conv2d(channels // 4, channels, 1, bias=False)

    def forward(self, spatial: Tensor, context: Tensor) -> Tensor:
        x = self.convblk(torch.cat([spatial, context], 1))  # [B, C, H, W]
        gate = self.conv2(functional.relu(self.conv1(_mean(x))))  # [B, C, 1, 1]
        return x + x * torch.sigmoid(gate)  # [B, C, H, W]


class Output(nn.Module):
    """Features -> logits."""

    def __init__(self, channels_in: int, channels: int, classes: int) -> None:
        super().__init__()
        self.conv = ConvBNReLU(channels_in, channels)
        self.conv_out = nn.Conv2d(channels, classes, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_out(self.conv(x))  # [B, classes, H, W]


class BiSeNet(nn.Module):
    """Normalised pictures [B, 3, H, W] -> logits of its 19 classes [B, 19, H, W].

    `conv_out16` and `conv_out32` are the auxiliary outputs of its training; they are part of the
    published weights and are not run.
    """

    def __init__(self) -> None:
        super().__init__()
        self.cp = ContextPath()
        self.ffm = FeatureFusion(256)
        self.conv_out = Output(256, 256, len(CLASSES))
        self.conv_out16 = Output(128, 64, len(CLASSES))
        self.conv_out32 = Output(128, 64, len(CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        eighth, context, _ = self.cp(x)  # [B, 128, H/8, W/8] each
        logits = self.conv_out(self.ffm(eighth, context))  # [B, 19, H/8, W/8]
        size = x.shape[-2:]
        return functional.interpolate(logits, size, mode="bilinear", align_corners=True)


def load_bisenet(file: Path) -> PublicParser:
    """Read a state dict of face-parsing.PyTorch.

    Raises:
        UserError: the file cannot be read, or is not that network's state dict.
    """
    with torch.random.fork_rng(devices=[]):
        network = BiSeNet()
    load_exactly(network, file, "BiSeNet", _FIX)
    return PublicParser(network, CLASSES, "bisenet").eval().requires_grad_(False)


def _mean(x: Tensor) -> Tensor:
    return functional.adaptive_avg_pool2d(x, 1)  # [B, C, 1, 1]


def _nearest(x: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(x, size=like.shape[-2:], mode="nearest")
