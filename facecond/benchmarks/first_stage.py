"""Pictures to latents and back: the linear patch code at 64 px, the KL autoencoder at 256 px."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from facecond import config as configs
from facecond.benchmarks.contender import Contender, Entries
from facecond.benchmarks.denoisers import compiled
from facecond.benchmarks.pipelines import linear_stage
from facecond.benchmarks.settings import Settings
from facecond.benchmarks.work import autocast, device_of, seeded, work_of
from facecond.config import FirstStageRunConfig
from facecond.models.first_stage import FirstStage
from facecond.seeding import torch_generator


def entries(settings: Settings, case: str) -> Entries:
    """Two autoencoders in both directions."""
    found: Entries = {}
    for name, make, size in (("linear 64 px", _linear, 64), ("KL f8 256 px", _kl, 256)):
        for direction in ("encode", "decode"):
            found[f"{name} {direction}"] = partial(_contender, make, direction, size, settings)
    return found


def _linear(settings: Settings) -> FirstStage:
    return linear_stage(work_of("", settings), settings.seed)


def _kl(settings: Settings) -> FirstStage:
    """The architecture of `first_stage_f8`, with random weights: speed does not know them."""
    sizes = configs.load(FirstStageRunConfig, "first_stage_f8").autoencoder
    widths = [32, 32, 32, 32] if settings.quick else list(sizes.block_out_channels)
    levels = len(widths)
    options = {
        "block_out_channels": widths,
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "latent_channels": sizes.latent_channels,
        "layers_per_block": 1 if settings.quick else sizes.layers_per_block,
    }
    scale = {name: [float(value)] * sizes.latent_channels
             for name, value in (("latents_mean", 0), ("latents_std", 1))}  # fmt: skip
    with seeded(settings.seed, "KL"):
        stage = FirstStage("AutoencoderKL", options, **scale)
    return stage.requires_grad_(False).eval()


def _contender(
    make: Callable[[Settings], FirstStage], direction: str, size: int, settings: Settings
) -> Contender:
    stage = make(settings).to(device_of(settings))
    size = 32 if settings.quick else size
    count = 2 if size > 64 or settings.quick else 32
    format_of = autocast(settings)
    forth, back = compiled(stage.encode, settings), compiled(stage.decode, settings)

    def pictures(repeat: int) -> Tensor:
        generator = torch_generator(settings.seed, "pictures", repeat)
        drawn = torch.rand(count, 3, size, size, generator=generator) * 2 - 1
        return drawn.to(device_of(settings))

    @torch.no_grad()
    def prepare(repeat: int) -> Tensor:
        drawn = pictures(repeat)
        return drawn if direction == "encode" else stage.encode(drawn)

    @torch.no_grad()
    def run(given: Tensor, out: Tensor) -> None:
        with format_of:
            out.copy_(forth(given) if direction == "encode" else back(given))

    with torch.no_grad():
        latents = tuple(stage.encode(pictures(0)).shape)
    shape = latents if direction == "encode" else (count, 3, size, size)
    return Contender(prepare, run, shape, count, "images", facts={"image_size": size})
