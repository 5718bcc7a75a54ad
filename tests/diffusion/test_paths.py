"""Paths against closed forms and diffusers' own tables; the log SNR against its inverse."""

from __future__ import annotations

import math
from typing import Any

import diffusers
import pytest
import torch
from torch import Tensor

from facecond.diffusion.paths import (
    SCHEDULES,
    alpha_sigma,
    log_snr,
    snr,
    t_of_log_snr,
    t_of_timestep,
    timestep_of,
)

VP = ("linear", "scaled_linear", "cosine")
DIFFUSERS: dict[str, dict[str, Any]] = {
    "linear": {"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02},
    "scaled_linear": {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
    "cosine": {"beta_schedule": "squaredcos_cap_v2"},
}


def test_every_schedule_is_tested() -> None:
    assert list(SCHEDULES) == ["flow", *VP]


@pytest.mark.parametrize("schedule", VP)
def test_variance_is_preserved(schedule: str) -> None:
    t = torch.linspace(0, 1, 1001, dtype=torch.float64)
    alpha, sigma = alpha_sigma(schedule, t)
    assert torch.allclose(alpha.square() + sigma.square(), torch.ones_like(t), atol=1e-12)
    assert alpha[0] == 1 and sigma[0] == 0
    assert (alpha.diff() < 0).all() and (alpha > 0).all()


def test_flow_is_the_straight_line() -> None:
    t = torch.tensor([0.0, 0.25, 1.0])
    alpha, sigma = alpha_sigma("flow", t)
    assert alpha.tolist() == [1.0, 0.75, 0.0] and sigma.tolist() == t.tolist()
    assert snr("flow", torch.tensor(0.25)) == pytest.approx(9.0)


@pytest.mark.parametrize(("schedule", "tolerance"), [
    ("linear", 1e-3), ("scaled_linear", 5e-4), ("cosine", 1.5e-3),
])  # fmt: skip
def test_schedules_are_those_of_diffusers(schedule: str, tolerance: float) -> None:
    theirs = diffusers.DDPMScheduler(1000, **DIFFUSERS[schedule]).alphas_cumprod.double()
    t = torch.arange(1, 1001, dtype=torch.float64) / 1000  # step k is t = (k + 1) / 1000
    ours = alpha_sigma(schedule, t)[0].square()
    assert (ours - theirs).abs().max() < tolerance
    # Also where little signal is left: the log ratio, up to the last thousandths.
    inner = slice(20, 950)
    log_ours = (ours / (1 - ours)).log()[inner]
    log_theirs = (theirs / (1 - theirs)).log()[inner]
    assert (log_ours - log_theirs).abs().max() < 0.06
    # One step beside would be clearly further away, where the schedule is steepest.
    assert (ours[1:] - theirs[:-1]).abs().max() > (ours - theirs).abs().max()


def closed_log_snr(schedule: str, t: float) -> float:
    """By the definitions, in Python's own arithmetic."""
    if schedule == "flow":
        return 2 * math.log((1 - t) / t)
    if schedule == "cosine":
        level, start = (math.cos((s * 0.999 + 0.008) / 1.008 * math.pi / 2) ** 2 for s in (t, 0))
        return math.log(level / (start - level))
    a, b = math.sqrt(0.85), math.sqrt(12)
    spent = {
        "linear": 0.1 * t + 19.9 * t * t / 2,
        "scaled_linear": ((a + (b - a) * t) ** 3 - a**3) / (3 * (b - a)),
    }[schedule]
    return -math.log(math.expm1(spent))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_log_snr_is_the_logarithm_of_the_ratio(schedule: str) -> None:
    t = torch.tensor([1e-3, 0.02, 0.3, 0.5, 0.85, 0.999], dtype=torch.float64)
    expected = [closed_log_snr(schedule, float(level)) for level in t]
    assert log_snr(schedule, t).tolist() == pytest.approx(expected, abs=1e-9)
    assert snr(schedule, t).log().tolist() == pytest.approx(expected, abs=1e-9)
    grid = log_snr(schedule, torch.linspace(0, 1, 10_001, dtype=torch.float64))
    assert (grid.diff() < 0).all() and not grid.isnan().any()


def test_equal_t_is_not_equal_noise() -> None:
    """Where an early-late window at tau 0.85 lies on each schedule."""
    t = torch.tensor(0.85, dtype=torch.float64)
    found = [round(float(log_snr(schedule, t)), 1) for schedule in SCHEDULES[:3]]
    assert found == [-3.5, -7.3, -3.7]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_log_snr_at_the_ends(dtype: torch.dtype) -> None:
    ends = torch.tensor([0.0, 1.0], dtype=dtype)
    assert log_snr("flow", ends).tolist() == [math.inf, -math.inf]
    for schedule in VP:
        first, last = log_snr(schedule, ends).tolist()
        # The cosine of an angle near 90 degrees: 1e-4 is what float32 can tell.
        assert first == math.inf and last == pytest.approx(closed_log_snr(schedule, 1), abs=2e-4)
        assert log_snr(schedule, ends).dtype == dtype


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-14)])
def test_the_inverse_gives_t_back(schedule: str, dtype: torch.dtype, tolerance: float) -> None:
    t = torch.cat([torch.logspace(-6, -2, 50), torch.linspace(0, 1, 1001)]).to(dtype)
    back = t_of_log_snr(schedule, log_snr(schedule, t))
    assert back.dtype == dtype and (back - t).abs().max() < tolerance
    # And a bisection finds the same, which knows nothing of roots.
    for wanted in (-3.0, 0.0, 2.5, 9.0):
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            if closed_log_snr(schedule, middle) > wanted:
                low = middle
            else:
                high = middle
        found = t_of_log_snr(schedule, torch.tensor([[wanted]], dtype=torch.float64))
        assert found.shape == (1, 1) and found.item() == pytest.approx(low, abs=1e-12)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_beyond_its_ends_a_schedule_gives_its_ends(schedule: str) -> None:
    beyond: Tensor = torch.tensor([math.inf, -40.0, -math.inf])
    assert t_of_log_snr(schedule, beyond).tolist() == pytest.approx([0, 1, 1], abs=1e-7)


def test_timesteps_are_those_of_diffusers() -> None:
    assert timestep_of("flow", torch.tensor([0.25, 1.0])).tolist() == [250.0, 1000.0]
    k = torch.tensor([0.0, 500.0, 999.0])
    for schedule in VP:
        assert timestep_of(schedule, (k + 1) / 1000).tolist() == pytest.approx(k, abs=1e-3)
        assert t_of_timestep(schedule, k).tolist() == pytest.approx([0.001, 0.501, 1.0])
    assert t_of_timestep("flow", torch.tensor([1000, 250])).tolist() == [1.0, 0.25]
