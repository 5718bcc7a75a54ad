"""Sections of a training of a judge."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass
class JudgeDataConfig:
    """The prepared folder whose judges' split a judge learns from."""

    root: str = ""
    part: Literal["all", "a", "b"] = "all"
    """`a` and `b` are halves of the split: for two judges that share no picture."""


@dataclass
class JudgeSection:
    """Training of a judge."""

    backbone: Literal["small", "resnet18", "mobilenet_v3_large", "efficientnet_b0"] = "small"
    """`small` is the own network for 64 px; the others are torchvision's."""
    weights: str = ""
    """File with torchvision's weights of the backbone; empty = from scratch."""
    steps: int = 500
    batch_size: int = 32
    optimizer: Literal["muon", "adamw"] = "muon"
    """Muon is costly on the large matrices of a resnet; AdamW also suits weights of others."""
    learning_rate: float = 2.0e-2
    """Of Muon, or of AdamW where it is the only optimiser."""
    width: int = 32
    """Channels of the finest level."""
    affine: float = 0.0
    """Largest shift and scale change, as a share of the picture; 0 = small shifts alone."""
    jitter: float = 0.0
    """Largest change of brightness and contrast, where no known attribute is a colour."""
    label_smoothing: float = 0.0
    dice: float = 0.0
    """Weight of the dice loss beside the cross-entropy (parser)."""
    ema_decay: float = 0.0
    """Of the average of the weights that is kept; 0 = the last weights."""
    validations: int = 0
    """How often it is scored on its validation faces; the best is kept. 0 = the last."""
    num_workers: int = 0
    seed: int = 0


@dataclass
class JudgeConfig:
    """A training of a judge (parser or attribute classifier)."""

    data: JudgeDataConfig = field(default_factory=JudgeDataConfig)
    judge: JudgeSection = field(default_factory=JudgeSection)
