"""Distilling a flow model: what the steps of a few-step student are to be.

The finest steps are the teacher's: the midpoint rule on its guided velocity, for scales of guidance
that are drawn and told to the student. Longer ones are two steps of the student's own average, half
as long each. Both begin at noised faces (Frans et al. 2024, a guided teacher in place of the data).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from facecond.diffusion import shortcut
from facecond.diffusion.guidance import guide, plan
from facecond.diffusion.paths import NUM_TRAIN_TIMESTEPS, log_snr
from facecond.labels import ANYTHING, UNSPECIFIED
from facecond.models.denoiser import Denoiser
from facecond.models.step_features import SHORTEST
from facecond.training.average import WeightAverage
from facecond.training.teacher import PARTS, Teacher


@dataclass(frozen=True)
class Aim:
    """Steps of a batch, and what they are to be.

    Attributes:
        t: where they begin, [B].
        x_t: the noised faces there, [B, C, h, w].
        step: their lengths and scales of guidance, [B, 1 + S].
        target: their average velocities, [B, C, h, w].
    """

    t: Tensor
    x_t: Tensor
    step: Tensor
    target: Tensor

    def loss(self, prediction: Tensor) -> Tensor:
        """Mean squared error of each sample, [B]."""
        return (prediction.float() - self.target).square().flatten(1).mean(1)


class FewStep:
    """A teacher at work, and the average of its student, both on the student's device.

    Args:
        teacher: checked against the run.
        student: to be trained.
        autocast: number format of both networks.
    """

    def __init__(
        self, teacher: Teacher, student: Denoiser, autocast: AbstractContextManager
    ) -> None:
        self.ranges: Mapping[str, Any] = student.unet.config.guidance_ranges
        pipeline = teacher.pipeline
        self.teacher = Denoiser(pipeline.condition_encoder, pipeline.unet).to(student.unet.device)
        self.teacher.requires_grad_(False).eval()
        self.average = deepcopy(student).requires_grad_(False).eval()
        self.autocast = autocast

    def follow(self, ema: WeightAverage) -> None:
        """Take over the student's average, as it is after a step."""
        ema.copy_to(self.average.parameters())

    @torch.no_grad()
    def aim(
        self,
        x_0: Tensor,
        noise: Tensor,
        attributes: Tensor,
        mask: Tensor,
        generator: torch.Generator,
    ) -> Aim:
        """Draw steps for faces x_0 [B, C, h, w] with noise of that shape and conditions int8
        [B, 40], uint8 [B, H, W], and find what they are to be."""
        device, batch = x_0.device, len(x_0)
        d, t = (each.to(device) for each in shortcut.draw(batch, generator))  # [B] each
        low = torch.tensor([bounds[0] for bounds in self.ranges.values()])
        high = torch.tensor([bounds[1] for bounds in self.ranges.values()])
        drawn = torch.rand(batch, len(low), generator=generator)
        scales = (low + (high - low) * drawn).to(device)  # [B, S]
        at = t[:, None, None, None]
        x_t = (1 - at) * x_0 + at * noise  # [B, C, h, w]
        target = torch.empty_like(x_t)
        for finest in (True, False):
            rows = ((d == SHORTEST) == finest).nonzero()[:, 0]
            if not len(rows):
                continue
            given = attributes[rows], mask[rows], scales[rows]
            begin = x_t[rows], t[rows], d[rows]
            found = self._taught(*given, *begin) if finest else self._own(*given, *begin)
            target[rows] = found.float()
        return Aim(t, x_t, torch.cat([d[:, None], scales], 1), target)

    def _taught(
        self, attributes: Tensor, mask: Tensor, scales: Tensor, x_t: Tensor, t: Tensor, d: Tensor
    ) -> Tensor:
        """Average velocity of the guided teacher over short steps."""
        encoder, unet = self.teacher.condition_encoder, self.teacher.unet
        named = dict(zip(self.ranges, scales.cpu().T, strict=True))
        passes = plan(named, PARTS, len(x_t))
        rows = passes.rows.to(x_t.device)  # [N]
        values, labels = attributes[rows], mask[rows]  # copies
        values[passes.lacks("attributes").to(x_t.device)] = UNSPECIFIED
        labels[passes.lacks("mask").to(x_t.device)] = ANYTHING
        with self.autocast:
            projected = unet.project_conditions(encoder(values, labels), encoder.planes(labels))

        def velocity(x: Tensor, at: Tensor) -> Tensor:
            projected.gates = unet.gates(log_snr("flow", at[rows].cpu()))
            with self.autocast:
                timestep = NUM_TRAIN_TIMESTEPS * at[rows]
                out = unet(x[rows], timestep, projected).sample.float()  # [N, C, h, w]
            full, without = passes.split(out)
            return guide(full, without, passes.scales)

        return shortcut.midpoint(velocity, x_t, t, d)

    def _own(
        self, attributes: Tensor, mask: Tensor, scales: Tensor, x_t: Tensor, t: Tensor, d: Tensor
    ) -> Tensor:
        """Average velocity of the student's average over two steps, half as long each."""
        step = torch.cat([d[:, None] / 2, scales], 1)  # [B, 1 + S]

        def over_half(x: Tensor, at: Tensor) -> Tensor:
            gates = self.average.unet.gates(log_snr("flow", at.cpu()))
            with self.autocast:
                timestep = NUM_TRAIN_TIMESTEPS * at
                return self.average(x, timestep, attributes, mask, gates, step=step).float()

        return shortcut.two_halves(over_half, x_t, t, d)
