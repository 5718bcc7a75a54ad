"""A path of faces between two sets of conditions and two seeds.

Noise goes along the great circle between two draws: a straight line would pass through values too
small to be noise. Conditions are mixed as tokens, so that attributes, which are on or off, have
something between.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facecond.sampling.inputs import noise_of_seeds
from facecond.sampling.passes import Blend


@dataclass(frozen=True)
class End:
    """One end of a path.

    Attributes:
        attributes: int8 [40].
        mask: uint8 [S, S].
    """

    attributes: np.ndarray
    mask: np.ndarray
    seed: int


def slerp(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    """Points of the great circle from one tensor to another of about its length.

    Args:
        first, second: of one shape [...].
        share: [n], 0 = first, 1 = second.

    Returns:
        [n, ...]; nearly parallel tensors are joined by a straight line.
    """
    a, b = first.double().flatten(), second.double().flatten()
    cosine = (a @ b / (a.norm() * b.norm())).clamp(-1, 1)
    angle = torch.arccos(cosine)
    t = share.double()[:, None]
    if float(angle.sin()) < 1e-6:
        mixed = (1 - t) * a + t * b
    else:
        mixed = (((1 - t) * angle).sin() * a + (t * angle).sin() * b) / angle.sin()
    return mixed.reshape(-1, *first.shape).to(first.dtype)


def path(
    pipeline: Any,
    start: End,
    end: End,
    frames: int,
    guidance: Mapping[str, float] | None = None,
    batch_size: int = 32,
    **options: Any,
) -> np.ndarray:
    """Faces uint8 [frames, S, S, 3] from one end to the other, both included.

    The first and the last are what the pipeline draws of the ends (within rounding). A scheduler
    that adds noise adds the same to all frames, that of the first end's seed.

    Args:
        frames: 2 or more.
        options: of the pipeline's call.
    """
    share = torch.linspace(0, 1, frames)
    shape = pipeline.unet.config
    side = shape.sample_size
    first, last = noise_of_seeds([start.seed, end.seed], (shape.out_channels, side, side))
    noise = slerp(first, last, share)  # [frames, C, h, w]
    faces = []
    for low in range(0, frames, batch_size):
        part = slice(low, low + batch_size)
        faces.append(
            pipeline(
                start.attributes,
                start.mask,
                seeds=[start.seed] * len(noise[part]),
                guidance=guidance,
                latents=noise[part],
                blend=Blend(end.attributes, end.mask, share[part]),
                **options,
            ).images
        )
    return np.concatenate(faces)
