"""The two judges as networks: a face parser and an attribute classifier, small enough for a CPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn import functional

from facecond.errors import UserError, nearest
from facecond.labels import ATTRIBUTES, MASK_CLASSES
from facecond.storage import read_json


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


class FaceParser(ModelMixin, ConfigMixin):
    """U-Net of three levels on 2x2 blocks of pixels: picture -> mask classes.

    Args:
        width: channels of the finest level; the coarser ones have 2 and 4 times as many.
        image_size: side in pixels of the pictures trained on.
        classes: names of the mask classes, in the order of the logits.
    """

    @register_to_config
    def __init__(
        self, width: int = 32, image_size: int = 64, classes: Sequence[str] = MASK_CLASSES
    ) -> None:
        super().__init__()
        w1, w2, w3, fine = width, 2 * width, 4 * width, max(width // 2, 8)
        self.level1 = nn.Sequential(ConvBlock(14, w1), ConvBlock(w1, w1))
        self.level2 = nn.Sequential(ConvBlock(w1, w2, 2), ResidualBlock(w2))
        self.level3 = nn.Sequential(ConvBlock(w2, w3, 2), ResidualBlock(w3))
        self.up2, self.merge2 = nn.Conv2d(w3, w2, 1), ResidualBlock(w2)
        self.up1, self.merge1 = nn.Conv2d(w2, w1, 1), ResidualBlock(w1)
        self.up0 = nn.Sequential(nn.Conv2d(w1, 4 * fine, 1), nn.PixelShuffle(2))
        self.head = nn.Sequential(ConvBlock(fine + 3, fine), nn.Conv2d(fine, len(classes), 1))

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, 3, H, W] in [-1, 1], sides divisible by 8 -> logits [B, classes, H, W]."""
        if images.shape[-1] % 8 or images.shape[-2] % 8:
            raise ValueError(f"sides of {tuple(images.shape[-2:])} are not divisible by 8")
        x = functional.pixel_unshuffle(images, 2)  # [B, 12, H/2, W/2]
        x1 = self.level1(_with_position(x))  # [B, w, H/2, W/2]
        x2 = self.level2(x1)  # [B, 2w, H/4, W/4]
        x3 = self.level3(x2)  # [B, 4w, H/8, W/8]
        x = self.merge2(_twice(self.up2(x3)) + x2)  # [B, 2w, H/4, W/4]
        x = self.merge1(_twice(self.up1(x)) + x1)  # [B, w, H/2, W/2]
        x = torch.cat([self.up0(x), images], 1)  # [B, w/2 + 3, H, W]
        return self.head(x)  # [B, classes, H, W]


class AttributeClassifier(ModelMixin, ConfigMixin):
    """Convolutional classifier on 2x2 blocks of pixels: picture -> 40 attributes.

    Args:
        width: channels of the finest level; the coarser ones have 2 and 4 times as many.
        image_size: side in pixels of the pictures trained on.
        feature_size: length D of the features that the Fréchet figure compares.
        attributes: names of the attributes trained on; the other logits mean nothing.
        thresholds: one per column of the logits; a logit above it says "present".
    """

    @register_to_config
    def __init__(
        self,
        width: int = 32,
        image_size: int = 64,
        feature_size: int = 128,
        attributes: Sequence[str] = ATTRIBUTES,
        thresholds: Sequence[float] = (0.0,) * len(ATTRIBUTES),
    ) -> None:
        super().__init__()
        w1, w2, w3 = width, 2 * width, 4 * width
        self.trunk = nn.Sequential(
            nn.PixelUnshuffle(2),
            ConvBlock(12, w1),
            ConvBlock(w1, w1),
            ConvBlock(w1, w2, 2),
            ResidualBlock(w2),
            ConvBlock(w2, w3, 2),
            ResidualBlock(w3),
        )
        # Aligned faces: where a feature lies says what it is, so a 4x4 grid is kept.
        # The norm ends the features, so that each has unit variance over the training faces.
        self.embed = nn.Sequential(
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
            nn.Linear(16 * w3, feature_size),
            nn.BatchNorm1d(feature_size),
        )
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(feature_size, len(ATTRIBUTES)))

    def features(self, images: Tensor) -> Tensor:
        """Images [B, 3, H, W] in [-1, 1] -> features [B, D]."""
        return self.embed(self.trunk(images))  # [B, D]

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, 3, H, W] in [-1, 1] -> logits [B, 40]."""
        return self.head(self.features(images))  # [B, 40]

    def judge(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images [B, 3, H, W] in [-1, 1] -> present bool [B, 40], features [B, D]."""
        features = self.features(images)  # [B, D]
        thresholds = torch.tensor(self.config["thresholds"], device=features.device)  # [40]
        return self.head(features) > thresholds, features


Judge = TypeVar("Judge", FaceParser, AttributeClassifier)


def load_parser(folder: str | Path) -> FaceParser:
    """Read a saved parser; raises `UserError` unless its classes are ours and its weights sound."""
    config = _read_config(folder, FaceParser, "parser")
    if tuple(config.get("classes", ())) != MASK_CLASSES:
        raise UserError(
            "this parser knows another list of mask classes",
            Path(folder) / "config.json",
            "Train a parser with 'facecond train judge parser'.",
        )
    return _read_weights(folder, FaceParser)


def load_classifier(folder: str | Path) -> AttributeClassifier:
    """Read a saved classifier; raises `UserError` unless its attributes are known ones and its
    weights sound."""
    config = _read_config(folder, AttributeClassifier, "attributes")
    place = Path(folder) / "config.json"
    for name in config.get("attributes", ()):
        if name not in ATTRIBUTES:
            advice = nearest(str(name), ATTRIBUTES)
            raise UserError(f"this classifier has an unknown attribute '{name}'", place, advice)
    if len(config.get("thresholds", ())) != len(ATTRIBUTES):
        raise UserError(
            f"'thresholds' must hold {len(ATTRIBUTES)} numbers",
            place,
            "Train a classifier with 'facecond train judge attributes'.",
        )
    return _read_weights(folder, AttributeClassifier)


def _read_config(folder: str | Path, kind: type, word: str) -> dict:
    place = Path(folder) / "config.json"
    if not place.is_file():
        advice = f"Train one with 'facecond train judge {word} CONFIG --out DIR'."
        raise UserError(f"no {word} judge here", folder, advice)
    config = read_json(place)
    found = config.get("_class_name") if isinstance(config, dict) else None
    if found != kind.__name__:
        advice = f"Give the folder of a judge trained with 'facecond train judge {word}'."
        raise UserError(f"this is a {found}, not a {kind.__name__}", place, advice)
    return config


def _read_weights(folder: str | Path, kind: type[Judge]) -> Judge:
    advice = "Train the judge again."
    try:
        model = kind.from_pretrained(str(folder), local_files_only=True, low_cpu_mem_usage=False)
    except Exception as error:  # diffusers raises many kinds for damaged or missing weights
        reason = str(error).strip().splitlines()[0][:120] if str(error).strip() else "no reason"
        raise UserError(f"its weights cannot be read ({reason})", folder, advice) from None
    if not all(torch.isfinite(tensor).all() for tensor in model.state_dict().values()):
        raise UserError("its weights hold NaN or infinite values", folder, advice)
    return model.eval().requires_grad_(False)


def _with_position(x: Tensor) -> Tensor:
    """Add two channels, the place of each pixel in [-1, 1]: it tells left eyes from right ones."""
    batch, _, height, width = x.shape
    rows = torch.linspace(-1, 1, height, device=x.device, dtype=x.dtype)
    columns = torch.linspace(-1, 1, width, device=x.device, dtype=x.dtype)
    place = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))  # [2, H, W]
    return torch.cat([x, place.expand(batch, -1, -1, -1)], 1)  # [B, C + 2, H, W]


def _twice(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")  # [B, C, 2H, 2W]
