"""Faces in the making: what the model believes the picture is, halfway through sampling."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from facecond.diffusion.paths import t_of_timestep
from facecond.pipeline import FacePipeline, to_uint8


class Preview:
    """Estimates pictures from the latents after each step.

    On the flow path x_t = (1 - t) x_0 + t n, two latents of one trajectory tell x_0. Other paths
    show the latents as they are, with their noise.
    """

    def __init__(self) -> None:
        self._latents: Tensor | None = None
        self._t = 1.0

    def pictures(
        self, pipeline: FacePipeline, step: int, latents: Tensor, wanted: bool
    ) -> np.ndarray | None:
        """Pictures uint8 [B, H, W, 3] after a step, or None when not wanted or not known yet."""
        before, t_before = self._latents, self._t
        self._latents, self._t = latents, _t_after(pipeline, step)
        if not wanted:
            return None
        if pipeline.config.schedule == "flow":
            if before is None or not t_before - self._t > 1e-6:
                return None
            latents = (t_before * latents - self._t * before) / (t_before - self._t)
        with torch.no_grad():
            return to_uint8(pipeline.first_stage.decode(latents))


def _t_after(pipeline: FacePipeline, step: int) -> float:
    """Noise level t of the flow path after a step: that of the next, 0 at the end."""
    times = pipeline.scheduler.timesteps
    if step + 1 >= len(times):
        return 0.0
    return float(t_of_timestep(pipeline.config.schedule, times[step + 1].float()))
