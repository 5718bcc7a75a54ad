"""Statistics of self-attention and of cross-attention's queries while a grid is sampled.

Per sample, layer and bin: mean and standard deviation over the spatial tokens of each channel of
self-attention's queries and keys (as Conditional Balance records them) and of cross-attention's
queries. Keys and values of cross-attention are left out: they are a function of the condition
alone, so that any layer would tell the levels apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from facecond.analysis.sensitivity.conditions import OWN, KeysValues, everywhere
from facecond.analysis.sensitivity.faces import Condition
from facecond.analysis.sensitivity.grid import Grid
from facecond.analysis.sensitivity.replay import in_full_precision
from facecond.analysis.sensitivity.swap import Arrays
from facecond.diffusion.objective import Objective, convert
from facecond.diffusion.paths import log_snr
from facecond.models.unet import FaceUNet
from facecond.seeding import torch_generator

KINDS = ("self", "cross")
"""What is recorded: queries and keys of self-attention; queries of cross-attention."""


class Recorder:
    """Accumulates statistics of every layer by bin while the UNet runs."""

    def __init__(self, unet: FaceUNet, bins: int) -> None:
        self.unet, self.bins = unet, bins
        self._sums: dict[tuple[int, str, str], list[Any]] = {}
        self._steps = [0] * bins
        self._bin = 0

    def step(self, tau: float) -> None:
        """What runs next is at this noise level."""
        self._bin = min(int(tau * self.bins), self.bins - 1)
        self._steps[self._bin] += 1

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Record while the block runs."""
        hooks = []
        for index, layer in enumerate(self.unet.trained_routing.layers):
            block = self.unet.get_submodule(layer.id)
            projections = {
                ("self", "q"): block.attn1.to_q,
                ("self", "k"): block.attn1.to_k,
                ("cross", "q"): block.attn2.to_q,
            }
            for (kind, name), module in projections.items():
                hooks.append(module.register_forward_hook(self._keep((index, kind, name))))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _keep(self, key: tuple[int, str, str]) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            tokens = output.float()  # [B, N, C]
            mean, std = tokens.mean(1), tokens.std(1, correction=0)
            found = torch.stack([mean, std], 1)  # [B, 2, C]
            sums = self._sums.setdefault(key, [0.0] * self.bins)
            sums[self._bin] = sums[self._bin] + found

        return hook

    def arrays(self) -> Arrays:
        """`KIND-LAYER` -> float32 [B, bins, 2, C]: mean and std, channels of q (and k) side by
        side, averaged over the steps of a bin."""
        joined: dict[str, list[np.ndarray]] = {}
        for (layer, kind, _), sums in self._sums.items():
            means = [total / steps for total, steps in zip(sums, self._steps, strict=True)]
            part = torch.stack(means, 1).cpu().numpy()  # [B, bins, 2, C]
            joined.setdefault(f"{kind}-{layer}", []).append(part)
        return {name: np.concatenate(parts, -1) for name, parts in joined.items()}


def record_grid(pipeline: Any, grid: Grid, part: slice, bins: int, steps: int) -> Arrays:
    """Sample some cells of the grid by DDIM with eta 0 (on the flow schedule: Euler), without
    guidance, and return what `Recorder.arrays` holds. Noise depends on the seed alone."""
    unet, config = pipeline.unet, pipeline.config
    objective = Objective(config["schedule"], config["prediction"])
    setting, mask, seed = grid.cells()[:, part]
    count = len(setting)
    shape = (unet.config.out_channels, unet.config.sample_size, unet.config.sample_size)
    seeds = [grid.seeds[k] for k in seed]
    x_t = torch.stack([torch.randn(shape, generator=torch_generator(k, "latents")) for k in seeds])
    x_t = x_t.to(unet.device)
    recorder = Recorder(unet, bins)
    with in_full_precision(unet), recorder.listening():
        condition = Condition(grid.settings[setting], grid.masks[mask])
        values = KeysValues(unet, pipeline.condition_encoder, [condition])
        choice = everywhere(unet.routing.sources, len(unet.routing.layers), np.full(count, OWN))
        levels = noise_levels(steps)
        for level, following in zip(levels, [*levels[1:], None], strict=True):
            t = torch.full((count,), level, dtype=torch.float32, device=unet.device)
            gates = unet.gates(log_snr(objective.schedule, t)).expand(count, -1, -1)
            conditions = values.rows(choice, np.arange(count), gates)
            recorder.step(level)
            timestep = objective.timestep(t)
            predicted = unet(x_t.to(unet.dtype), timestep, conditions).sample.float()
            if following is not None:
                of = (predicted, x_t, t, objective.schedule, objective.prediction)
                x_0, noise = convert(*of, "x_0"), convert(*of, "epsilon")
                x_t = objective.add_noise(x_0, noise, torch.full_like(t, following))
    return recorder.arrays()


def noise_levels(steps: int) -> list[float]:
    """Values of tau from 1 down to half a step above 0: each of up to `steps` equal bins of tau
    holds one."""
    return [float(level) for level in np.linspace(1.0, 0.5 / steps, steps)]
