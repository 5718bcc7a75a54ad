"""Whole steps of a flow, against one whose path is known in closed form."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from facecond.diffusion import shortcut
from facecond.errors import UserError

SPREAD = 0.5
"""Of the faces, which are normal numbers: then x_t = x_0 scale(t) / scale(0) on each path."""


def scale(t: Tensor) -> Tensor:
    return ((1 - t) ** 2 * SPREAD**2 + t**2).sqrt()


def velocity(x: Tensor, t: Tensor) -> Tensor:
    """v = x scale'(t) / scale(t)."""
    slope = (t - (1 - t) * SPREAD**2) / scale(t)
    return x * (slope / scale(t)).reshape(-1, 1, 1, 1)


def average(x: Tensor, t: Tensor, d: Tensor) -> Tensor:
    """(x_t - x_{t-d}) / d."""
    return x * ((1 - scale(t - d) / scale(t)) / d).reshape(-1, 1, 1, 1)


def points(*t: float) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(len(t), 2, 3, 3, generator=generator, dtype=torch.float64)
    return noise, torch.tensor(t, dtype=torch.float64)


def test_steps_begin_where_a_sampler_with_such_steps_is() -> None:
    d, t = shortcut.draw(4000, torch.Generator().manual_seed(0))
    drawn = set(zip(d.tolist(), t.tolist(), strict=True))
    asked = {(1 / n, at) for n in shortcut.STEP_COUNTS for at in shortcut.sigmas(n)}
    assert drawn == asked


def test_two_exact_halves_are_an_exact_whole() -> None:
    x, t = points(1.0, 0.75, 0.5)
    d = torch.tensor([1.0, 0.25, 0.5], dtype=torch.float64)
    found = shortcut.two_halves(lambda x, t: average(x, t, d / 2), x, t, d)
    torch.testing.assert_close(found, average(x, t, d))


def test_the_midpoint_rule_is_of_second_order_or_better() -> None:
    x, t = points(0.6)
    errors = []
    for length in (0.1, 0.05, 0.025):
        d = torch.full_like(t, length)
        found = shortcut.midpoint(velocity, x, t, d) - average(x, t, d)
        errors.append(float(found.abs().max()))
    for coarse, fine in pairwise(errors):
        assert coarse / fine > 3.5


@pytest.mark.parametrize("steps", shortcut.STEP_COUNTS)
def test_exact_averages_reach_the_faces_in_any_number_of_steps(steps: int) -> None:
    x, t = points(1.0)
    found, d = x.clone(), torch.full_like(t, 1 / steps)
    for at in shortcut.sigmas(steps):
        moment = torch.full_like(t, at)
        found = found - average(found, moment, d) / steps
    torch.testing.assert_close(found, SPREAD * x)


@pytest.mark.parametrize("steps", [0, 3, 16])
def test_other_numbers_of_steps_are_refused(steps: int) -> None:
    with pytest.raises(UserError, match=f"distilled for 1, 2, 4, 8 steps, not {steps}"):
        shortcut.sigmas(steps)
