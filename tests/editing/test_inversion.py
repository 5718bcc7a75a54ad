"""The ODE there and back: closed forms, exact reversal, second order, every schedule and target."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from facecond.diffusion.objective import PREDICTIONS
from facecond.diffusion.paths import SCHEDULES, alpha_sigma
from facecond.editing.denoiser import conditioned
from facecond.editing.inversion import integrate, noise_levels, noise_share, t_of_share

SHAPE = (2, 3, 4, 4)


def latents(seed: int = 0, shape: tuple[int, ...] = SHAPE) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gaussian(schedule: str, spread: float) -> Callable[[Tensor, float], tuple[Tensor, Tensor]]:
    """The perfect denoiser of x_0 ~ N(0, spread^2): both estimates are linear in x."""

    def predict(x: Tensor, t: float) -> tuple[Tensor, Tensor]:
        alpha, sigma = (float(c) for c in alpha_sigma(schedule, torch.tensor(t).double()))
        variance = (alpha * spread) ** 2 + sigma**2
        return alpha * spread**2 / variance * x, sigma / variance * x

    return predict


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_levels_are_even_in_the_share_of_noise(schedule: str) -> None:
    levels = noise_levels(4, 0.8, schedule)
    assert (levels[0], levels[-1], len(levels)) == (0, 0.8, 5)
    shares = [noise_share(schedule, t) for t in levels]
    assert np.diff(shares) == pytest.approx(shares[-1] / 4)
    for t, share in zip(levels, shares, strict=True):
        assert t_of_share(schedule, share) == pytest.approx(t, abs=1e-9)
    assert noise_levels(1, 1.0, schedule) == (0, 1)
    if schedule == "flow":
        assert levels == pytest.approx((0, 0.2, 0.4, 0.6, 0.8))


def test_constant_estimates_are_followed_exactly() -> None:
    clean, noise = latents(1), latents(2)
    path = integrate(lambda x, t: (clean, noise), clean, noise_levels(3, 0.9, "flow"), "flow")
    for t, state in zip(path.levels, path.states, strict=True):
        torch.testing.assert_close(state, (1 - t) * clean + t * noise)
    assert path.evaluations <= 6 and path.residual < 1e-12


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_linear_field_has_the_closed_form_of_the_ode(schedule: str) -> None:
    """For x_0 ~ N(0, s^2) the ODE scales x by the spread of x_t: it is its closed form."""
    spread, errors = 0.7, []
    x = latents() * spread
    for steps in (20, 40):
        levels = noise_levels(steps, 1.0, schedule)
        path = integrate(
            gaussian(schedule, spread), x, levels, schedule, iterations=40, tolerance=1e-13
        )
        alpha, sigma = (float(c) for c in alpha_sigma(schedule, torch.tensor(1.0).double()))
        expected = x * math.hypot(alpha * spread, sigma) / spread
        errors.append(float((path.end - expected).abs().max()))
    assert errors[1] < 0.02
    assert errors[1] < errors[0] / 3  # of 2nd order: a quarter


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 3, 12])
def test_back_from_noise_is_exact_by_any_number_of_steps(schedule: str, steps: int) -> None:
    predict, x = gaussian(schedule, 0.7), latents()
    solved: dict[str, Any] = {"iterations": 200, "tolerance": 1e-14}
    there = integrate(predict, x, noise_levels(steps, 0.9, schedule), schedule, **solved)
    back = integrate(predict, there.end, there.levels[::-1], schedule, **solved)
    assert float((there.end - x).abs().max()) > 0.1
    for mine, its in zip(there.states, back.states[::-1], strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-9, atol=1e-9)


def test_what_is_kept_replaces_the_state() -> None:
    x, kept = latents(), []

    def keep(i: int, y: Tensor) -> Tensor:
        kept.append(i)
        return torch.full_like(y, i)

    path = integrate(gaussian("flow", 1.0), x, noise_levels(3, 1.0, "flow"), "flow", keep=keep)
    assert kept == [1, 2, 3]
    assert [float(state.mean()) for state in path.states[1:]] == [1, 2, 3]


@pytest.mark.parametrize(
    ("schedule", "prediction"),
    [(s, p) for s in SCHEDULES for p in PREDICTIONS if (s, p) != ("flow", "epsilon")],
)
def test_a_real_model_comes_back_under_every_schedule_and_target(
    make_pipeline: Callable[..., Any], schedule: str, prediction: str
) -> None:
    pipeline = make_pipeline(schedule=schedule, prediction=prediction)
    x = latents(3, (2, 6, 8, 8)).float()
    predict = conditioned(pipeline, "Smiling", None, 2)
    # What an untrained network says of epsilon is no estimate of it: where little signal is left,
    # the x_0 that follows is many times too large, and no step can be solved.
    strength = 0.4 if prediction == "epsilon" else 1.0
    errors = []
    for steps in (2, 8):
        levels = noise_levels(steps, strength, schedule)
        there = integrate(predict, x, levels, schedule, iterations=4)
        back = integrate(predict, there.end, levels[::-1], schedule, iterations=4)
        assert torch.isfinite(there.end).all()
        errors.append(float((back.end - x).square().mean().sqrt()))
    assert errors[1] < 0.02
    assert errors[1] < errors[0] or errors[0] < 1e-3


def test_conditions_and_scales_reach_the_denoiser(make_pipeline: Callable[..., Any]) -> None:
    pipeline = make_pipeline()
    x = latents(4, (1, 6, 8, 8)).float()
    smiling, other = (conditioned(pipeline, words, None) for words in ("Smiling", "-Smiling"))
    stronger = conditioned(pipeline, "Smiling", None, guidance={"attributes": 3.0})
    plain = smiling(x, 0.5)[0]
    assert not torch.equal(plain, other(x, 0.5)[0])
    assert not torch.equal(plain, stronger(x, 0.5)[0])
    assert plain.dtype == torch.float32
    clean, noise = smiling(x, 0.5)
    torch.testing.assert_close(0.5 * clean + 0.5 * noise, x)  # the two estimates make x again
