"""The sampling ODE, run from a picture towards noise and back.

On a path x_t = alpha x_0 + sigma n (`diffusion/paths.py`) the ODE is

    dx = x_0(x, t) d alpha + n(x, t) d sigma

where x_0 and n are what the denoiser makes of x at noise level t: any schedule, any target. A step
from t to s solves the implicit midpoint rule

    y = x + x_0(m, u) (alpha_s - alpha_t) + n(m, u) (sigma_s - sigma_t),  m = (x + y) / 2,
                                                                          u = (t + s) / 2

by fixed-point iteration. The rule is symmetric: the step back from y is the same equation as the
step there from x. So inversion and sampling under equal conditions undo each other as far as the
equation is solved, by any number of steps (explicit steps would not), and the path is right to 2nd
order. No network is asked at t = 0 or t = 1, where some targets say nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from facecond.diffusion.paths import alpha_sigma

Predict = Callable[[Tensor, float], tuple[Tensor, Tensor]]
"""x_t [B, C, h, w], t -> estimates of x_0 and of the noise n, [B, C, h, w] each."""

ITERATIONS = 6
"""Fixed-point iterations of a step, at most."""
TOLERANCE = 1e-3
"""A step is solved where an iteration moves every face by less than this share of its length."""


@dataclass(frozen=True)
class Trajectory:
    """Where a path went.

    Attributes:
        levels: noise levels t, in the order of the path.
        states: x [B, C, h, w] at each of them.
        evaluations: calls of the denoiser.
        residual: how far the worst step was from solved: the share of its length by which the last
            iteration moved a face.
    """

    levels: tuple[float, ...]
    states: tuple[Tensor, ...]
    evaluations: int
    residual: float

    @property
    def end(self) -> Tensor:
        """x at the last level."""
        return self.states[-1]


def noise_levels(steps: int, strength: float) -> tuple[float, ...]:
    """steps + 1 evenly spaced noise levels t from 0 (picture) to `strength` (1 = all noise)."""
    return tuple(strength * i / steps for i in range(steps + 1))


def integrate(
    predict: Predict,
    x: Tensor,
    levels: Sequence[float],
    schedule: str,
    *,
    iterations: int = ITERATIONS,
    tolerance: float = TOLERANCE,
    keep: Callable[[int, Tensor], Tensor] | None = None,
) -> Trajectory:
    """Follow the ODE through noise levels: upwards is inversion, downwards sampling.

    Args:
        predict: the denoiser under some conditions.
        x: [B, C, h, w] at the first level.
        levels: two or more; no two neighbours equal.
        schedule: one of `diffusion.paths.SCHEDULES`.
        iterations, tolerance: how well each step is solved.
        keep: called as `keep(i, x)` after the step to level i; what it returns replaces x.
    """
    coefficients = [alpha_sigma(schedule, torch.tensor(t, dtype=torch.float64)) for t in levels]
    states, evaluations, worst = [x], 0, 0.0
    slope = torch.zeros_like(x)
    for i in range(1, len(levels)):
        span = levels[i] - levels[i - 1]
        d_alpha, d_sigma = (
            float(after - before)
            for before, after in zip(coefficients[i - 1], coefficients[i], strict=True)
        )
        middle = (levels[i - 1] + levels[i]) / 2
        y = x + span * slope  # as the step before went
        for _ in range(iterations):
            clean, noise = predict((x + y) / 2, middle)
            moved = x + d_alpha * clean + d_sigma * noise  # [B, C, h, w]
            change = _relative(moved - y, moved)
            y, evaluations = moved, evaluations + 1
            if change < tolerance:
                break
        worst = max(worst, change)
        slope = (y - x) / span
        x = y if keep is None else keep(i, y)
        states.append(x)
    return Trajectory(tuple(levels), tuple(states), evaluations, worst)


def _relative(difference: Tensor, whole: Tensor) -> float:
    """Largest ratio of lengths of a face in two tensors [B, C, h, w]."""
    lengths = difference.flatten(1).norm(dim=1), whole.flatten(1).norm(dim=1)
    return float((lengths[0] / lengths[1].clamp_min(1e-12)).max())
