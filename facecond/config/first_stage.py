"""Sections of a training of a first stage."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from facecond.config.run import OptimConfig


@dataclass
class FirstStageDataConfig:
    """The prepared folder whose generator's split an autoencoder learns from."""

    root: str = ""
    flip: bool = True


@dataclass
class AutoencoderConfig:
    """The autoencoder, as in diffusers' AutoencoderKL."""

    block_out_channels: list[int] = field(default_factory=lambda: [128, 256, 512])
    """Widths; every block but the last halves the picture, so three blocks make f4."""
    layers_per_block: int = 2
    latent_channels: int = 3
    norm_num_groups: int = 32
    mid_block_add_attention: bool = True


@dataclass
class AutoencoderLossConfig:
    """What the autoencoder is trained on."""

    l1: float = 1.0
    perceptual: float = 1.0
    """Weight of the perceptual distance; 0 loads no trunk."""
    perceptual_net: Literal["alex", "vgg", "squeeze"] = "alex"
    perceptual_trunk: str = ""
    """File with torchvision's weights of that network; empty fetches them; `random` leaves it
    untrained, and the logged value is then not called LPIPS."""
    kl: float = 1.0e-6
    """Weight of the divergence in nats per pixel value."""
    adversary: float = 0.5
    """Beside the adaptive weight; 0 trains without adversary."""
    adversary_start: int = 50_000
    """Step from which the adversary is trained and used."""


@dataclass
class DiscriminatorConfig:
    """The adversary: a patch discriminator and its AdamW."""

    width: int = 64
    layers: int = 3
    """3 see patches of 70 pixels, 2 of 34, 1 of 16."""
    learning_rate: float = 1.0e-4


@dataclass
class FirstStageTrainConfig:
    """The loop; see `TrainConfig`."""

    steps: int = 0
    minutes: float = 0.0
    batch_size: int = 16
    accumulation: int = 1
    seed: int = 0
    precision: Literal["fp32", "bf16", "auto"] = "auto"
    gradient_checkpointing: bool = False
    num_workers: int = 0
    log_every: int = 20
    checkpoint_every_s: float = 60.0
    keep_checkpoints: int = 2
    sample_every: int = 500
    """Steps between grids of reconstructions in TensorBoard; 0 = none."""


@dataclass
class FirstStageRunConfig:
    """A training of a first stage."""

    data: FirstStageDataConfig = field(default_factory=FirstStageDataConfig)
    autoencoder: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    loss: AutoencoderLossConfig = field(default_factory=AutoencoderLossConfig)
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    train: FirstStageTrainConfig = field(default_factory=FirstStageTrainConfig)
