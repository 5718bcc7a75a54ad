"""Every knob: dataclass defaults < one `base:` file < the file < `--set a.b=value`.

A section's fields are the keyword arguments of the function or class it feeds (a test compares the
signatures), so components never import this module. An unknown key is an error that offers the
nearest name; values are coerced to the field's type.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypeVar, get_type_hints

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from facecond.errors import UserError, nearest


@dataclass
class DataConfig:
    """The prepared folder to learn from, and how it is varied."""

    root: str = ""
    """Prepared folder (`facecond data render` or `facecond data prepare` writes one)."""
    variants: int = 1
    """Versions of each picture in the latent cache: the first is the picture as it is."""
    flip: bool = False
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


@dataclass
class RoutingConfig:
    """Which source reaches which layer: a preset, or custom rules."""

    preset: str = "all_all"
    rules: list[dict[str, Any]] = field(default_factory=list)
    """Custom rules `{source, layers, scale}`; they replace the preset."""


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


@dataclass
class ObjectiveConfig:
    """Noise schedule, prediction target and loss weight."""

    schedule: Literal["flow", "linear", "scaled_linear", "cosine"] = "flow"
    prediction: Literal["epsilon", "v", "flow"] = "flow"
    weighting: Literal["uniform", "p2", "min_snr", "soft_min_snr"] = "p2"
    k: float = 1.0
    gamma: float = 1.0
    """P2's exponent, usually 1; the clamp of min-SNR and soft min-SNR, usually 5."""
    density: Literal["uniform", "logit_normal"] = "logit_normal"
    density_mean: float = 0.0
    density_std: float = 1.0


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
    dropout: DropoutConfig = field(default_factory=DropoutConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)


@dataclass
class JudgeDataConfig:
    """The prepared folder whose judges' split a judge learns from."""

    root: str = ""


@dataclass
class JudgeSection:
    """Training of a judge."""

    steps: int = 500
    batch_size: int = 32
    learning_rate: float = 2.0e-2
    """Of Muon."""
    width: int = 32
    """Channels of the finest level."""
    seed: int = 0


@dataclass
class JudgeConfig:
    """A training of a judge (parser or attribute classifier)."""

    data: JudgeDataConfig = field(default_factory=JudgeDataConfig)
    judge: JudgeSection = field(default_factory=JudgeSection)


Config = TypeVar("Config", RunConfig, JudgeConfig)

RANGES: dict[str, str] = {
    "(0, inf)": "optim.learning_rate optim.adam_learning_rate optim.clip_norm objective.k "
    "objective.density_std judge.learning_rate",
    "[0, inf)": "train.seed train.steps train.minutes train.num_workers train.checkpoint_every_s "
    "train.sample_every optim.weight_decay optim.warmup_steps objective.gamma judge.seed",
    "[1, inf)": "train.batch_size train.accumulation train.log_every data.variants "
    "first_stage.patch_size first_stage.latent_channels denoiser.block_out_channels "
    "denoiser.layers_per_block denoiser.attention_head_dim denoiser.norm_num_groups "
    "denoiser.mask_grid judge.steps",
    "[2, inf)": "train.keep_checkpoints denoiser.condition_dim judge.batch_size",
    "[4, inf)": "judge.width",
    "[1, 1000]": "sampling.steps",
    "[0, 0.3]": "data.affine data.jitter",
    "[0, 1]": "dropout.attributes dropout.mask dropout.both dropout.single_attributes "
    "dropout.mask_regions",
    "(0, 1]": "optim.decay_share",
    "[0, 1)": "optim.ema_decay",
    "[-10, 10]": "objective.density_mean",
}
"""Interval -> the keys whose value (or every item of it) must lie in it."""


def load(kind: type[Config], path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a config file (a path, or the name of a shipped one) and apply `a.b=value` overrides.

    Raises:
        UserError: the file is missing or not YAML, a key is unknown, a value has the wrong type or
            is out of range.
    """
    file = find(path)
    layers = [(str(file), _read(file))]
    base = layers[0][1].pop("base", None)
    if base is not None:
        ground = find(file.parent / str(base))
        layers.insert(0, (str(ground), _read(ground)))
        if "base" in layers[0][1]:
            raise UserError("a base has a base itself", ground, "Use one level.")
    for where, layer in layers:
        _check_keys(kind, layer, where)
    for override in overrides:
        key, separator, _ = override.partition("=")
        if not separator:
            raise UserError(f"'{override}' is not of the form key=value", "--set", "Add '='.")
        _check_path(kind, key)
        layers.append(("--set", _parse(override)))
        _check_keys(kind, layers[-1][1], "--set")
    try:
        merged = OmegaConf.merge(OmegaConf.structured(kind), *(layer for _, layer in layers))
        config: Config = OmegaConf.to_object(merged)  # type: ignore[assignment]
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None) or "config"
        reason = str(error).splitlines()[0]
        raise UserError(reason, f"{file} ({key})", "Correct the value.") from None
    _check_values(config, layers)
    return config


def find(path: str | Path) -> Path:
    """A config file by path, or by name among those shipped with the package."""
    path = Path(path)
    if path.is_file():
        return path
    shipped = Path(str(resources.files("facecond"))) / "configs"
    if not shipped.is_dir():  # an editable install reads the checkout
        shipped = Path(__file__).resolve().parent.parent / "configs"
    relative = Path(*path.parts[1:]) if path.parts[:1] == ("configs",) else path
    for candidate in (shipped / relative, shipped / f"{relative}.yaml"):
        if candidate.is_file():
            return candidate
    names = sorted(str(p.relative_to(shipped)) for p in shipped.rglob("*.yaml"))
    raise UserError("there is no such config", path, nearest(path.name, names))


def dump(config: Any) -> str:
    """The resolved config as YAML."""
    return OmegaConf.to_yaml(OmegaConf.structured(config))


def _read(file: Path) -> dict[str, Any]:
    try:
        loaded = OmegaConf.to_container(OmegaConf.load(file))
    except FileNotFoundError:
        raise UserError("the file is missing", file, "Check the path.") from None
    except Exception as error:  # PyYAML and OmegaConf raise many kinds
        reason = " ".join(str(error).split())
        raise UserError(f"not valid YAML ({reason})", file, "Correct the file.") from None
    if not isinstance(loaded, dict):
        raise UserError("a config is a mapping of sections", file, "See configs/.")
    return {str(key): value for key, value in loaded.items()}


def _parse(override: str) -> dict[str, Any]:
    """One `a.b=value` as nested mappings."""
    try:
        parsed = OmegaConf.to_container(OmegaConf.from_dotlist([override]))
    except Exception as error:  # PyYAML and OmegaConf raise many kinds
        reason = f"cannot read '{override}' ({' '.join(str(error).split())})"
        raise UserError(reason, "--set", "Put the value in quotes.") from None
    assert isinstance(parsed, dict)
    return {str(key): value for key, value in parsed.items()}


def _check_keys(kind: type, values: dict[str, Any], where: str, prefix: str = "") -> None:
    for key, value in values.items():
        section = _check_path(kind, f"{prefix}{key}", where, root=prefix)
        if dataclasses.is_dataclass(section):
            if not isinstance(value, dict):
                reason = f"'{prefix}{key}' is a section, not a value"
                raise UserError(reason, where, "Name a key of it.")
            _check_keys(kind, value, where, f"{prefix}{key}.")


def _check_path(kind: type, path: str, where: str = "--set", root: str = "") -> Any:
    """Type of the field at a dotted path; an unknown part is an error with the nearest name."""
    current: Any = kind
    for part in path.split("."):
        if not dataclasses.is_dataclass(current):
            return current  # a free mapping such as sampling.guidance
        hints = get_type_hints(current)
        if part not in hints:
            raise UserError(f"unknown key '{path}'", where, nearest(part, hints))
        current = hints[part]
    return current


def _check_values(config: Any, layers: list[tuple[str, dict[str, Any]]]) -> None:
    """Every value lies in its range, and no variation is asked for that would not happen."""

    def origin(section: str, name: str) -> str:
        return next(w for w, layer in reversed(layers) if name in layer.get(section, {}))

    for interval, keys in RANGES.items():
        low, high = (float(end) for end in interval[1:-1].split(","))
        least = math.nextafter(low, math.inf) if interval[0] == "(" else low
        most = math.nextafter(high, -math.inf) if interval[-1] == ")" else high
        above = f"{'above' if least > low else 'at least'} {low:g}"
        below = "" if high == math.inf else f", {'below' if most < high else 'at most'} {high:g}"
        for section, name in (key.split(".") for key in keys.split()):
            value = getattr(getattr(config, section, None), name, least)
            items = value if isinstance(value, list) else [value]
            if not all(least <= item <= most for item in items):
                where = f"{origin(section, name)} ({section}.{name})"
                raise UserError(f"{value} is out of range", where, f"Allowed: {above}{below}.")
    for name in ("flip", "affine", "jitter") if hasattr(config.data, "variants") else ():
        if config.data.variants == 1 and getattr(config.data, name):
            reason = f"'data.{name}' has no effect while data.variants is 1"
            raise UserError(reason, origin("data", name), "Raise data.variants.")
