"""Sections of a training of the denoiser."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from facecond.config.few_step import FewStepConfig
from facecond.config.pairs import PairsConfig
from facecond.config.reference import ReferenceConfig


@dataclass
class DataConfig:
    """The prepared folder to learn from, and how it is varied."""

    root: str = ""
    """Prepared folder (`facecond data render` or `facecond data prepare` writes one)."""
    labels: Literal["all", "true"] = "all"
    """`all` adds the labels that judges gave (`facecond data label`); `true` is the truth alone."""
    variants: int = 1
    """Versions of each picture in the latent cache: the first is the picture as it is."""
    sample_latents: bool = False
    """Draw latents from the first stage's distribution, anew in every epoch; else take its mean."""
    flip: bool = False
    """Mirror half of the other variants; without affine and jitter, exactly the second of two."""
    affine: float = 0.0
    """Largest shift and scale change of a variant, as a share of the picture."""
    jitter: float = 0.0


@dataclass
class FirstStageConfig:
    """Pixels <-> latents."""

    autoencoder: str = "linear"
    """`linear` fits a patch code in closed form; else a local path or hub id of an autoencoder."""
    patch_size: int = 4
    """Pixels per latent pixel; of a pretrained autoencoder, what it should have."""
    latent_channels: int = 12


@dataclass
class DenoiserConfig:
    """The UNet; block types and widths as in diffusers."""

    block_out_channels: list[int] = field(default_factory=lambda: [96, 192])
    down_block_types: list[str] = field(
        default_factory=lambda: ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D"]
    )
    mid_block_type: str = "UNetMidBlock2DCrossAttn"
    up_block_types: list[str] = field(
        default_factory=lambda: ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D"]
    )
    layers_per_block: int = 1
    attention_head_dim: int = 32
    """Width of one attention head."""
    norm_num_groups: int = 16
    condition_dim: int = 128
    """Width of a condition token."""
    mask_grid: int = 16
    """The mask is read as mask_grid x mask_grid tokens (and 19 class tokens)."""
    positions: Literal["none", "sincos", "rotary", "locality"] = "locality"
    mask_input: Literal["tokens", "channels"] = "tokens"
    """`channels`: the mask enters beside the latents, not through cross-attention."""


@dataclass
class RoutingConfig:
    """Which source reaches which layer: a preset, a file, or rules."""

    preset: str = "all_all"
    file: str = ""
    """A routing file; it replaces the preset."""
    rules: list[dict[str, Any]] = field(default_factory=list)
    """Rules `{source, layers, scale, gate, tau, schedule, op}`; they replace the preset."""
    sources: list[str] | None = None
    """Those to route, of `attributes`, `mask` and their parts; null = all that are named."""
    combine: Literal["sum", "joint", "concat"] = "sum"
    """Separate attentions added up; one softmax; plain token concatenation."""
    sensitivity: str = ""
    """What `facecond sensitivity` wrote: for the presets rank_topk, rank_bottomk, rank_randk."""
    fraction: float = 0.43
    """Share of the layers that the rank presets take."""
    seed: int = 0
    """Of rank_randk."""


@dataclass
class DropoutConfig:
    """What training hides, so that guidance and partial conditions work."""

    attributes: float = 0.08
    """Chance that all attributes of a sample are left open."""
    mask: float = 0.08
    both: float = 0.05
    single_attributes: float = 0.3
    """Chance that a sample has a random share of its attributes left open."""
    mask_regions: float = 0.3
    """Chance that a sample has random regions or classes of its mask left open."""
    layers: float = 0.0
    """Chance that a sample's conditions reach a random subset of the layers only."""
    layer_keep: float = 0.7
    """Chance that a layer is in that subset."""


@dataclass
class ObjectiveConfig:
    """Noise schedule, prediction target and loss weight."""

    schedule: Literal["flow", "linear", "scaled_linear", "cosine"] = "flow"
    prediction: Literal["epsilon", "v", "flow"] = "flow"
    """Any on any schedule, but epsilon on the flow schedule."""
    weighting: Literal[
        "uniform", "uniform_epsilon", "uniform_v", "uniform_flow", "p2", "min_snr", "soft_min_snr"
    ] = "p2"
    """`uniform` on the prediction; `uniform_v` is uniform on v, whatever is predicted. All but
    `uniform` weigh the error of x_0 alike for every prediction."""
    k: float = 1.0
    gamma: float = 1.0
    """P2's exponent, usually 1; the clamp of min-SNR and soft min-SNR, usually 5."""
    density: Literal["uniform", "logit_normal"] = "logit_normal"
    density_mean: float = 0.0
    density_std: float = 1.0


@dataclass
class PerceptualConfig:
    """Latent perceptual loss beside the objective's: `diffusion/perceptual.py`."""

    weight: float = 0.0
    """0 = off. Notes on the paper give 3, where it is about a fifth of the whole loss."""
    min_snr: float = 4.0
    """Only samples with at least this signal-to-noise ratio count."""
    layers: int = 5
    """Feature maps of the first stage's decoder, from the latent side on, at most."""
    normalise: Literal["target", "prediction", "own"] = "prediction"
    """Whose statistics divide the features."""
    per: Literal["channel", "pixel"] = "channel"
    """Statistics of each channel over the picture, or of each pixel over the channels."""
    mask_outliers: bool = True


@dataclass
class OptimConfig:
    """Optimiser, learning-rate schedule, EMA."""

    optimizer: Literal["muon", "adamw"] = "muon"
    learning_rate: float = 3.0e-3
    """Of Muon, or of AdamW where it is the only optimiser."""
    adam_learning_rate: float = 1.0e-3
    """Of AdamW on vectors, embeddings and in/out convolutions beside Muon."""
    weight_decay: float = 0.01
    warmup_steps: int = 50
    decay_share: float = 0.4
    """The last share of the steps over which the rate falls linearly to zero."""
    clip_norm: float = 1.0
    ema_decay: float = 0.995


@dataclass
class TrainConfig:
    """The loop."""

    steps: int = 0
    """Optimiser steps; 0 = as many as fit in `minutes`."""
    minutes: float = 0.0
    batch_size: int = 32
    accumulation: int = 1
    seed: int = 0
    precision: Literal["fp32", "bf16", "auto"] = "auto"
    """`auto` is bf16 where the device multiplies it fast."""
    compile: bool = False
    gradient_checkpointing: bool = False
    num_workers: int = 0
    log_every: int = 20
    checkpoint_every_s: float = 60.0
    keep_checkpoints: int = 2
    sample_every: int = 500
    """Steps between sample grids in TensorBoard; 0 = none."""


@dataclass
class SamplingConfig:
    """Defaults of the saved model's sampler."""

    scheduler: str = "unipc"
    steps: int = 12
    guidance: dict[str, float] = field(default_factory=dict)
    """Scale per source; a source that is not named has scale 1."""


@dataclass
class RunConfig:
    """A training of the denoiser."""

    data: DataConfig = field(default_factory=DataConfig)
    first_stage: FirstStageConfig = field(default_factory=FirstStageConfig)
    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    routing: RoutingConfig = field(default_factory=RoutingConfig)
    reference: ReferenceConfig = field(default_factory=ReferenceConfig)
    pairs: PairsConfig = field(default_factory=PairsConfig)
    dropout: DropoutConfig = field(default_factory=DropoutConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    perceptual: PerceptualConfig = field(default_factory=PerceptualConfig)
    few_step: FewStepConfig = field(default_factory=FewStepConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
