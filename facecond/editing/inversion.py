"""The sampling ODE, run from a picture towards noise and back.

On a path x_t = alpha x_0 + sigma n (`diffusion/paths.py`) the ODE is

    dx = x_0(x, t) d alpha + n(x, t) d sigma

where x_0 and n are what the denoiser makes of x at noise level t: any schedule, any target. A step
from t to s solves the implicit midpoint rule

    y = x + x_0(m, u) (alpha_s - alpha_t) + n(m, u) (sigma_s - sigma_t),  m = (x + y) / 2

by fixed-point iteration with Anderson's acceleration (as Pan et al. 2023 invert), u being the level
between t and s. Levels are counted in the share of noise r = sigma / (alpha + sigma), which is t on
the flow schedule: there every path is smooth (in t the variance-preserving ones begin like a square
root), and r_u = (r_t + r_s) / 2.

The rule is symmetric: the step back from y is the same equation as the step there from x. So
inversion and sampling under equal conditions undo each other as far as the equation is solved, by
any number of steps (explicit steps would not), and the path is right to 2nd order. No network is
asked at t = 0 or t = 1, where some targets say nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from facecond.diffusion.paths import alpha_sigma, t_of_log_snr

Predict = Callable[[Tensor, float], tuple[Tensor, Tensor]]
"""x_t [B, C, h, w], t -> estimates of x_0 and of the noise n, [B, C, h, w] each."""

ITERATIONS = 6
"""Fixed-point iterations of a step, at most."""
TOLERANCE = 1e-3
"""A step is solved where an iteration moves every face by less than this share of its length."""
FARTHEST = (-4.0, 0.9)
"""How far acceleration may lead, in steps of the iteration."""


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


def solver_facts(steps: int, strength: float) -> dict[str, Any]:
    """How an edit solves the ODE, as its record says it."""
    return {
        "strength": strength,
        "steps": steps,
        "solver": "implicit midpoint",
        "iterations": ITERATIONS,
        "tolerance": TOLERANCE,
    }


def noise_levels(steps: int, strength: float, schedule: str) -> tuple[float, ...]:
    """steps + 1 noise levels t from 0 (picture) to `strength` (1 = all noise), evenly spaced in the
    share of noise."""
    last = noise_share(schedule, strength)
    between = (t_of_share(schedule, last * i / steps) for i in range(1, steps))
    return (0.0, *between, strength)


def noise_share(schedule: str, t: float) -> float:
    """Share of noise r = sigma / (alpha + sigma) at a noise level t, both in [0, 1]."""
    alpha, sigma = (float(c) for c in alpha_sigma(schedule, torch.tensor(t, dtype=torch.float64)))
    return sigma / (alpha + sigma)


def t_of_share(schedule: str, share: float) -> float:
    """Noise level t of a share of noise: the inverse of `noise_share`."""
    if schedule == "flow":
        return share
    r = torch.tensor(share, dtype=torch.float64)
    return float(t_of_log_snr(schedule, 2 * (torch.log1p(-r) - r.log())))


def integrate(
    predict: Predict,
    x: Tensor,
    levels: Sequence[float],
    schedule: str,
    *,
    iterations: int = ITERATIONS,
    tolerance: float = TOLERANCE,
    keep: Callable[[int, Tensor], Tensor] | None = None,
    after_step: Callable[[Tensor], object] | None = None,
) -> Trajectory:
    """Follow the ODE through noise levels: upwards is inversion, downwards sampling.

    Args:
        predict: the denoiser under some conditions.
        x: [B, C, h, w] at the first level.
        levels: two or more; no two neighbours equal.
        schedule: one of `diffusion.paths.SCHEDULES`.
        iterations, tolerance: how well each step is solved.
        keep: called as `keep(i, x)` after the step to level i; what it returns replaces x.
        after_step: called after each step with x_0 [B, C, h, w] as the denoiser expects it there.
    """
    coefficients = [alpha_sigma(schedule, torch.tensor(t, dtype=torch.float64)) for t in levels]
    shares = [noise_share(schedule, t) for t in levels]
    states, evaluations, worst = [x], 0, 0.0
    slope = torch.zeros_like(x)
    for i in range(1, len(levels)):
        span = shares[i] - shares[i - 1]
        d_alpha, d_sigma = (
            float(after - before)
            for before, after in zip(coefficients[i - 1], coefficients[i], strict=True)
        )
        middle = t_of_share(schedule, (shares[i - 1] + shares[i]) / 2)
        y = x + span * slope  # as the step before went
        earlier = None
        for _ in range(iterations):
            clean, noise = predict((x + y) / 2, middle)
            moved = x + d_alpha * clean + d_sigma * noise  # [B, C, h, w]
            evaluations, missing = evaluations + 1, moved - y
            if (change := _relative(missing, moved)) < tolerance:
                break
            y = moved if earlier is None else _accelerated(moved, missing, *earlier)
            earlier = moved, missing
        worst = max(worst, change)
        slope = (moved - x) / span
        x = moved if keep is None else keep(i, moved)
        states.append(x)
        if after_step is not None:
            after_step(clean)
    return Trajectory(tuple(levels), tuple(states), evaluations, worst)


def _accelerated(moved: Tensor, missing: Tensor, moved_before: Tensor, before: Tensor) -> Tensor:
    """The next trial of a fixed-point iteration, face by face: where the line through the last two
    trials comes nearest to being solved (Anderson 1965, of depth 1).

    Args:
        moved, missing: what the iteration made of a trial, and its distance from it, [B, C, h, w].
        moved_before, before: the same of the trial before.
    """
    difference = missing - before
    along = (missing * difference).sum((1, 2, 3), keepdim=True)  # [B, 1, 1, 1]
    length = difference.square().sum((1, 2, 3), keepdim=True).clamp_min(1e-30)
    return moved - (along / length).clamp(*FARTHEST) * (moved - moved_before)


def _relative(difference: Tensor, whole: Tensor) -> float:
    """Largest ratio of lengths of a face in two tensors [B, C, h, w]."""
    lengths = difference.flatten(1).norm(dim=1), whole.flatten(1).norm(dim=1)
    return float((lengths[0] / lengths[1].clamp_min(1e-12)).max())
