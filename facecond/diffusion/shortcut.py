"""Average velocities over whole steps of a flow: faces in one, two, four or eight steps.

A flow model says how x_t moves at one moment, v = n - x_0. A shortcut model says how far it moves
over a step of length d, u(x_t, t, d) = (x_t - x_{t-d}) / d, so that a step of any length is exact.
Two half steps make a whole one (Frans et al. 2024, eq. 4), which is how long steps are learned from
short ones; the shortest are learned from a teacher.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from facecond.errors import UserError

STEP_COUNTS = (1, 2, 4, 8)
"""Numbers of equal steps from noise to a face; each doubles the one before."""
Velocity = Callable[[Tensor, Tensor], Tensor]
"""x_t [B, C, h, w], t [B] -> velocity [B, C, h, w]."""


def draw(batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Steps to learn: their lengths d and where they begin, float32 [B] each; t is one of the
    moments at which a sampler with steps of that length is, d <= t <= 1."""
    chosen = torch.randint(len(STEP_COUNTS), (batch,), generator=generator)
    counts = torch.tensor(STEP_COUNTS)[chosen]  # [B]
    place = (torch.rand(batch, generator=generator) * counts).floor()  # 0 .. counts - 1
    return 1 / counts, (place + 1) / counts


def midpoint(velocity: Velocity, x_t: Tensor, t: Tensor, d: Tensor) -> Tensor:
    """Average velocity over a step of length d [B], by the midpoint rule on the velocity of each
    moment; off by O(d^2), [B, C, h, w]."""
    half = _wide(d / 2, x_t)  # [B, 1, 1, 1]
    return velocity(x_t - half * velocity(x_t, t), t - d / 2)


def two_halves(average: Velocity, x_t: Tensor, t: Tensor, d: Tensor) -> Tensor:
    """Average velocity over a step of length d [B], from those over its halves, [B, C, h, w].

    Args:
        average: velocity over a step of length d / 2.
    """
    first = average(x_t, t)
    second = average(x_t - _wide(d / 2, x_t) * first, t - d / 2)
    return (first + second) / 2


def sigmas(steps: int) -> list[float]:
    """Moments t at which a sampler with this many equal steps asks the network.

    Raises:
        UserError: not one of `STEP_COUNTS`.
    """
    if steps not in STEP_COUNTS:
        known = ", ".join(map(str, STEP_COUNTS))
        what = f"this model was distilled for {known} steps, not {steps}"
        raise UserError(what, "num_inference_steps", f"Choose from: {known}.")
    return [1 - place / steps for place in range(steps)]


def _wide(values: Tensor, x: Tensor) -> Tensor:
    """[B] -> [B, 1, 1, 1]."""
    return values.to(x).reshape(-1, *[1] * (x.ndim - 1))
