"""CompVis' DDIM sampler around a denoiser: its file as it is, and what it asks of a model."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

Predict = Callable[[Tensor, Tensor, Tensor], Tensor]
"""x_t [B, C, h, w], timesteps [B], tokens [B, T, D] -> epsilon [B, C, h, w]."""


def ddim_sampler(predict: Predict, alphas_cumprod: Tensor, device: torch.device) -> Any:
    """`DDIMSampler` for a denoiser on this device.

    Its `register_buffer` moves everything to CUDA; on a device of another kind that one method is
    overridden, and nothing else.
    """
    from ldm.models.diffusion.ddim import DDIMSampler

    class Sampler(DDIMSampler):
        def register_buffer(self, name: str, attr: Any) -> None:
            setattr(self, name, attr.to(device) if isinstance(attr, Tensor) else attr)

    bar = alphas_cumprod.float().to(device)
    model = SimpleNamespace(
        num_timesteps=len(bar),
        alphas_cumprod=bar,
        alphas_cumprod_prev=torch.cat([torch.ones(1, device=device), bar[:-1]]),
        betas=1 - bar / torch.cat([torch.ones(1, device=device), bar[:-1]]),
        device=device,
        parameterization="eps",
        apply_model=predict,
    )
    return DDIMSampler(model) if device.type == "cuda" else Sampler(model)


def sample(
    sampler: Any, noise: Tensor, tokens: Tensor, null: Tensor, scale: float, steps: int
) -> Tensor:
    """Latents [B, C, h, w] from noise, guided from `null` to `tokens`; its prints are dropped."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        found, _ = sampler.sample(
            steps, len(noise), tuple(noise.shape[1:]), conditioning=tokens, x_T=noise, eta=0.0,
            verbose=False, unconditional_guidance_scale=scale, unconditional_conditioning=null,
        )  # fmt: skip
    return found
