"""The sizes that cases work at, and random conditions for them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from facecond import config as configs
from facecond.benchmarks.settings import Settings
from facecond.config import RunConfig
from facecond.labels import ATTRIBUTES, MASK_CLASSES
from facecond.models.denoiser import Denoiser, build_denoiser
from facecond.seeding import key_of, torch_generator
from facecond.training.setup import route


@dataclass(frozen=True)
class Work:
    """A size.

    Attributes:
        config: of the denoiser and its first stage.
        image_size: side of the pictures in pixels.
        batch: of a training step and of a forward pass.
        faces: sampled at a time.
        steps: of sampling.
    """

    config: RunConfig
    image_size: int
    batch: int
    faces: int
    steps: int

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        side = self.image_size // self.config.first_stage.patch_size
        return self.config.first_stage.latent_channels, side, side

    @property
    def tokens(self) -> int:
        """Condition tokens of a face: attributes, mask grid and mask classes."""
        return len(ATTRIBUTES) + self.config.denoiser.mask_grid**2 + len(MASK_CLASSES)


TINY = (
    "denoiser.block_out_channels=[32,64]", "denoiser.attention_head_dim=16",
    "denoiser.norm_num_groups=16", "denoiser.condition_dim=32", "denoiser.mask_grid=8",
)  # fmt: skip


def work_of(
    case: str, settings: Settings, overrides: Sequence[str] = (), image_size: int = 64
) -> Work:
    """The size of a case: its name ends with 256 for the denoiser of celebamaskhq_256.

    Every contender has AdamW: what optimiser learns most is no question of speed.

    Args:
        overrides: of the config.
        image_size: at CPU size.
    """
    adamw = ["optim.optimizer=adamw", "optim.learning_rate=1e-4", *overrides]
    if settings.quick:
        size = max(32, image_size // 2)
        return Work(configs.load(RunConfig, "rendered_64", [*TINY, *adamw]), size, 2, 2, 4)
    if case.endswith("256"):
        batch = 32 if device_of(settings) == "cuda" else 2
        return Work(configs.load(RunConfig, "celebamaskhq_256", adamw), 256, batch, batch, 50)
    return Work(configs.load(RunConfig, "rendered_64", adamw), image_size, 16, 8, 50)


def device_of(settings: Settings) -> str:
    """`cuda` or `cpu`."""
    return settings.device or ("cuda" if torch.cuda.is_available() else "cpu")


def autocast(settings: Settings) -> torch.autocast:
    """The number format that was asked for."""
    wanted = settings.precision == "bf16"
    return torch.autocast(device_of(settings), torch.bfloat16, enabled=wanted)


def own_denoiser(work: Work, seed: int, route_as: Any = None) -> Denoiser:
    """facecond's denoiser of a size, new."""
    return build_denoiser(
        image_size=work.image_size,
        latent_size=work.latent_shape[1],
        latent_channels=work.latent_shape[0],
        **asdict(work.config.denoiser),
        route=route_as or partial(route, work.config),
        seed=seed,
    )


@torch.no_grad()
def awaken(module: nn.Module, seed: int) -> None:
    """Give weights that begin at zero small values: a network whose last layer is zero could skip
    all others and nobody would see it."""
    for number, parameter in enumerate(module.parameters()):
        if parameter.ndim > 1 and not bool(parameter.any()):
            drawn = torch.randn(parameter.shape, generator=torch_generator(seed, "awaken", number))
            parameter.copy_(0.02 * drawn)


def parameters_of(module: nn.Module) -> int:
    """How many numbers a module learns."""
    return sum(parameter.numel() for parameter in module.parameters())


@dataclass(frozen=True)
class Batch:
    """Random inputs of a denoiser: latents [B, C, h, w], t in (0, 1) [B], int8 [B, 40], uint8
    [B, S, S]."""

    latents: Tensor
    t: Tensor
    attributes: Tensor
    mask: Tensor


def random_batch(work: Work, count: int, repeat: int, settings: Settings) -> Batch:
    """The inputs of a repeat: the same for every contender, others in every repeat."""
    generator = torch_generator(settings.seed, "benchmark", repeat)
    size = work.image_size
    drawn = Batch(
        torch.randn(count, *work.latent_shape, generator=generator),
        torch.rand(count, generator=generator).clamp(0.02, 0.98),
        torch.randint(0, 2, (count, len(ATTRIBUTES)), generator=generator, dtype=torch.int8),
        torch.randint(0, len(MASK_CLASSES), (count, size, size), generator=generator).byte(),
    )
    device = device_of(settings)
    return Batch(*(each.to(device) for each in (drawn.latents, drawn.t, drawn.attributes,
                                                drawn.mask)))  # fmt: skip


@contextlib.contextmanager
def seeded(*keys: int | str) -> Iterator[None]:
    """Weights drawn inside depend on the keys alone, and nothing outside is touched."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key_of(*keys) >> 1)
        yield
