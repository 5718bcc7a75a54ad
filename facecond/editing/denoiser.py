"""A pipeline under conditions, as the ODE asks for it: what it makes of x at a noise level."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facecond.diffusion.guidance import Scale
from facecond.diffusion.objective import convert
from facecond.diffusion.paths import log_snr, timestep_of
from facecond.editing.inversion import Predict
from facecond.sampling.conditions import read_batch
from facecond.sampling.guided import make_guided
from facecond.sampling.inputs import Attributes


def conditioned(
    pipeline: Any,
    attributes: Attributes | None,
    mask: Tensor | np.ndarray | None,
    batch: int = 1,
    guidance: Mapping[str, Scale] | None = None,
) -> Predict:
    """The denoiser of a `FacePipeline` under conditions, in float32.

    Sampling may multiply in bfloat16; there and back again, its rounding would be the error.

    Args:
        attributes, mask: as the pipeline takes them.
        batch: faces.
        guidance: scale per source or attribute; what is not named has 1.

    Raises:
        UserError: a wrong shape or value, an unknown source.
    """
    given, emphasis = read_batch(
        pipeline, attributes, mask, (), None, (range(batch), None, None), 1
    )
    scales = {**(guidance or {}), **emphasis}
    guided = make_guided(pipeline, None, given, scales, None, 0.0, nullcontext)
    schedule, target = pipeline.config["schedule"], pipeline.config["prediction"]

    @torch.no_grad()
    def predict(x_t: Tensor, t: float) -> tuple[Tensor, Tensor]:
        level = torch.tensor(t, dtype=torch.float64)
        timestep = timestep_of(schedule, level).to(x_t)
        predicted = guided(x_t, timestep, log_snr(schedule, level.reshape(1)))  # [B, C, h, w]
        at = level.to(x_t).reshape(1)
        clean = convert(predicted, x_t, at, schedule, target, "x_0")
        return clean, convert(predicted, x_t, at, schedule, target, "epsilon")

    return predict
