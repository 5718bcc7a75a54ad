"""The two judges: a face parser and an attribute classifier on a backbone of one's choice."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from facecond.labels import ATTRIBUTES, MASK_CLASSES
from facecond.models.judges.backbones import Pyramid, PyramidParser
from facecond.models.judges.small import SmallParser, SmallTrunk

SMALL = "small"
"""The backbone that is no torchvision one: the own small network."""
GRID = 4
"""Aligned faces: where a feature lies says what it is, so the classifier pools to GRID x GRID."""


class FaceParser(ModelMixin, ConfigMixin):
    """Picture -> mask classes.

    Args:
        width: channels of the finest level of the network.
        image_size: side in pixels of the pictures trained on; 0 = it takes any.
        classes: names of the mask classes, in the order of the logits.
        backbone: `small`, or one of `backbones.BACKBONES`.
    """

    @register_to_config
    def __init__(
        self,
        width: int = 32,
        image_size: int = 64,
        classes: Sequence[str] = MASK_CLASSES,
        backbone: str = SMALL,
    ) -> None:
        super().__init__()
        self.network: nn.Module
        if backbone == SMALL:
            self.network = SmallParser(width, len(classes))
        else:
            self.network = PyramidParser(backbone, width, len(classes))

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, 3, H, W] in [-1, 1], sides divisible by 8 -> logits [B, classes, H, W]."""
        if images.shape[-1] % 8 or images.shape[-2] % 8:
            raise ValueError(f"sides of {tuple(images.shape[-2:])} are not divisible by 8")
        return self.network(images)  # [B, classes, H, W]


class AttributeClassifier(ModelMixin, ConfigMixin):
    """Picture -> 40 attributes.

    Args:
        width: channels of the finest level of the network.
        image_size: side in pixels of the pictures trained on.
        feature_size: length D of the features that the Fréchet figure compares.
        attributes: names of the attributes trained on; the other logits mean nothing.
        thresholds: one per column of the logits; a logit above it says "present".
        backbone: `small`, or one of `backbones.BACKBONES`.
        channels: 3 for pictures; the small one can also read others, such as one per mask class.
    """

    @register_to_config
    def __init__(
        self,
        width: int = 32,
        image_size: int = 64,
        feature_size: int = 128,
        attributes: Sequence[str] = ATTRIBUTES,
        thresholds: Sequence[float] = (0.0,) * len(ATTRIBUTES),
        backbone: str = SMALL,
        channels: int = 3,
    ) -> None:
        super().__init__()
        small = backbone == SMALL
        self.trunk = SmallTrunk(width, channels) if small else Pyramid(backbone, 8, 4 * width)
        # The norm ends the features, so that each has unit variance over the training faces.
        self.embed = nn.Sequential(
            nn.AdaptiveAvgPool2d(GRID),
            nn.Flatten(),
            nn.Linear(GRID**2 * 4 * width, feature_size),
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
