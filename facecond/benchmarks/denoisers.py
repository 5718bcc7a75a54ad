"""The denoisers that are compared: facecond's and, behind the same interface, its peers'."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from facecond.benchmarks import peers
from facecond.benchmarks.checks import agree
from facecond.benchmarks.peer_unet import peer_denoiser, without_checkpointing
from facecond.benchmarks.settings import Settings
from facecond.benchmarks.work import (
    Batch,
    Work,
    autocast,
    awaken,
    device_of,
    own_denoiser,
    parameters_of,
)
from facecond.diffusion.paths import timestep_of
from facecond.models.denoiser import Denoiser

OWN = "facecond"
SHIPPED = "ldm-shipped"
"""latent-diffusion as it is: float32, its transformer blocks recomputed in the backward pass."""
BF16_TOLERANCE, COMPILE_TOLERANCE = 0.1, 0.02


@dataclass
class Rival:
    """A denoiser with the number format that it multiplies in.

    Attributes:
        model: its modules; `call` goes through the compiled form, where there is one.
        kind: `facecond` or a peer.
        compiled: whether it is run through `torch.compile`.
    """

    model: Denoiser
    kind: str
    autocast: torch.autocast
    call: Callable[..., Tensor]
    compiled: bool = False

    def forward(self, batch: Batch, schedule: str) -> Tensor:
        """A prediction [B, C, h, w], float32."""
        at = timestep_of(schedule, batch.t)
        with self.autocast:
            return self.call(batch.latents, at, batch.attributes, batch.mask).float()


def rivals(settings: Settings, work: Work, training: bool) -> dict[str, Callable[[], Rival]]:
    """Rivals by name, unmade: facecond first, then the peers that were named.

    `ldm-shipped` is added where it differs from `ldm`: in training, and beside bfloat16. Where
    networks are compiled, so are the peers', and each runs as its authors run it too (`-eager`).
    """
    found: dict[str, Callable[[], Rival]] = {OWN: partial(_rival, settings, work, OWN, False)}
    for peer in settings.peers:
        found[peer] = partial(_rival, settings, work, peer, False)
        if settings.compile:
            found[f"{peer}-eager"] = partial(
                _rival, replace(settings, compile=False), work, peer, False
            )
    if peers.LDM in settings.peers and (training or settings.precision != "fp32"):
        found[SHIPPED] = partial(_rival, settings, work, peers.LDM, True)
    return found


def _rival(settings: Settings, work: Work, kind: str, shipped: bool) -> Rival:
    device = device_of(settings)
    if kind == OWN:
        model = own_denoiser(work, settings.seed)
    else:
        model = peer_denoiser(kind, work, settings.seed)
        if not shipped:
            without_checkpointing(model)
    awaken(model, settings.seed)
    model.to(device)
    if kind == OWN:
        model.to(memory_format=model.unet.memory_format)
    compiled = settings.compile and not shipped
    call: Any = torch.compile(model) if compiled else model
    plain = torch.autocast(device, torch.bfloat16, enabled=False)
    return Rival(model, kind, plain if shipped else autocast(settings), call, compiled)


@torch.no_grad()
def check_numerics(rival: Rival, batch: Batch, schedule: str, name: str) -> dict[str, float]:
    """How far bfloat16 and the compiled form are from the plain float32 form of the same network.

    Raises:
        CheckFailed: too far.
    """
    found = {}
    plain = torch.autocast(batch.latents.device.type, torch.bfloat16, enabled=False)
    exact = Rival(rival.model, rival.kind, plain, rival.model).forward(batch, schedule)
    eager = Rival(rival.model, rival.kind, rival.autocast, rival.model).forward(batch, schedule)
    if rival.autocast._enabled:
        found["bf16_apart"] = agree(exact, eager, BF16_TOLERANCE, f"{name} in bf16 and fp32")
    if rival.call is not rival.model:
        compiled = rival.forward(batch, schedule)
        found["compile_apart"] = agree(eager, compiled, COMPILE_TOLERANCE, f"{name} compiled")
    return found


def work_done(rival: Rival, work: Work, batch: int) -> dict[str, Any]:
    """What has to be equal between rivals."""
    return {
        "parameters": parameters_of(rival.model),
        "tokens": work.tokens,
        "latents": "x".join(map(str, work.latent_shape)),
        "batch": batch,
    }


@torch.no_grad()
def gigaflops(rival: Rival, batch: Batch, schedule: str) -> float:
    """Of one pass, per sample: matrix products, convolutions and attention."""
    with FlopCounterMode(display=False) as counter:
        Rival(rival.model, rival.kind, rival.autocast, rival.model).forward(batch, schedule)
    return round(counter.get_total_flops() / len(batch.t) / 1e9, 4)


def compiled(function: Callable[..., Any], settings: Settings) -> Callable[..., Any]:
    """A function or module, compiled where that was asked for."""
    return torch.compile(function) if settings.compile else function
