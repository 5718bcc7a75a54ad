"""What a step does with its gradients."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from facecond.errors import UserError
from facecond.training.updates import MAX_SKIPPED_STEPS, Updates


def one_weight(value: float = 0.0) -> nn.Linear:
    """A layer with one weight and nothing else."""
    module = nn.Linear(1, 1, bias=False)
    nn.init.constant_(module.weight, value)
    return module


def sgd(module: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(module.parameters(), lr=0.5)


@pytest.fixture
def updates() -> Updates:
    """One weight at 0, plain gradient descent at rate 0.5, half of the average kept."""
    module = one_weight()
    return Updates(module, [sgd(module)], 2.0, 0.5, Path("run"))


def weight(module: nn.Module) -> float:
    (parameter,) = module.parameters()
    return float(parameter.detach())


def give(module: nn.Module, gradient: float) -> None:
    (parameter,) = module.parameters()
    parameter.grad = torch.full((1, 1), gradient)


def test_a_step_is_clipped_scaled_and_averaged(updates: Updates) -> None:
    give(updates.model, 8.0)
    assert float(updates.apply(0.1, 0)) == 8.0  # the norm before it was clipped to 2
    assert weight(updates.model) == pytest.approx(-0.1 * 0.5 * 2)
    assert next(updates.model.parameters()).grad is None
    give(updates.model, 1.0)
    updates.apply(1.0, 1)  # the factor is of the base rate, and not of the last one
    assert weight(updates.model) == pytest.approx(-0.1 - 0.5)
    with updates.averaged():
        assert not updates.model.training
        assert -0.6 < weight(updates.model) < -0.1
    assert weight(updates.model) == pytest.approx(-0.6) and updates.model.training


def test_modules_are_clipped_by_themselves_and_rest_without_gradient(updates: Updates) -> None:
    other = one_weight(1.0)
    updates.add(other, [sgd(other)])
    give(updates.model, 1.0)
    assert float(updates.apply(1.0, 0)) == 1.0
    assert weight(other) == 1.0
    give(updates.model, 1.0)
    give(other, 100.0)
    updates.apply(1.0, 1)
    assert weight(other) == pytest.approx(1 - 0.5 * 2)
    assert weight(updates.model) == pytest.approx(-0.5 - 0.5)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_step_that_is_not_finite_anywhere_is_skipped_by_all(updates: Updates, bad: float) -> None:
    other = one_weight(1.0)
    updates.add(other, [sgd(other)])
    average = updates.ema.shadow_params[0].clone()
    give(updates.model, 1.0)
    give(other, bad)
    updates.apply(1.0, 0)
    assert (weight(updates.model), weight(other), updates.skipped) == (0.0, 1.0, 1)
    assert torch.equal(updates.ema.shadow_params[0], average)
    give(updates.model, 1.0)
    updates.apply(1.0, 1)
    assert weight(updates.model) == -0.5 and updates.skipped == 0


def test_too_many_skipped_steps_in_a_row_end_training(updates: Updates) -> None:
    for step in range(MAX_SKIPPED_STEPS - 1):
        give(updates.model, float("nan"))
        updates.apply(1.0, step)
    give(updates.model, float("nan"))
    told = r"run: the loss was not finite for 10 .*step 50, the last with the faces 0, .*7 \.\.\."
    with pytest.raises(UserError, match=told):
        updates.apply(1.0, 50, lambda: list(map(str, range(9))))
    assert updates.skips() == MAX_SKIPPED_STEPS and updates.skips() == 0
