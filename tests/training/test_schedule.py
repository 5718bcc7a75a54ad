"""The learning rate over a run: as told, or by a time budget that is kept without a jump."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable

import pytest

from facecond.training.optim import learning_rate_factor
from facecond.training.schedule import SHORTEST_DECAY, TOLERANCE, WARM_STEPS, Schedule

MINUTES, WARMUP = 5, 50


class Run:
    """A run whose steps take `pace(step, seconds so far)` seconds; stopped `until` a step."""

    def __init__(
        self,
        pace: Callable[[int, float], float],
        share: float,
        until: float = float("inf"),
        before: Run | None = None,
        changes: int = -1,
    ) -> None:
        self.schedule = Schedule(0, MINUTES, WARMUP, share)
        self.seconds, self.factors = 0.0, []
        if before is not None:
            self.seconds, self.factors = before.seconds, list(before.factors)
            self.schedule.load_state_dict(json.loads(json.dumps(before.schedule.state_dict())))
        while (step := len(self.factors)) < min(until, self.schedule.steps or until):
            if step == changes:
                self.schedule.speed_changes()
            self.factors.append(self.schedule.factor(step))
            self.seconds += pace(step, self.seconds)
            self.schedule.advance(step + 1, self.seconds)
            assert step < 100_000

    @property
    def share_of_budget(self) -> float:
        return self.seconds / (MINUTES * 60)

    @property
    def largest_drop(self) -> float:
        """Of the rate in one step, after the warm-up."""
        return max(a - b for a, b in itertools.pairwise(self.factors[WARMUP:]))


def steady(step: int, seconds: float) -> float:
    return 0.1


def test_a_length_that_is_told_stays() -> None:
    schedule = Schedule(70, 99.0, 5, 0.4)
    for step in range(70):
        assert schedule.factor(step) == learning_rate_factor(step, 70, 5, 0.4)
        assert schedule.advance(step + 1, 1e6 * step) == 70
    assert schedule.turns == []


@pytest.mark.parametrize("share", [0.0, 0.05, 0.4, 0.7])
@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_at_a_steady_speed_a_budget_is_a_length_that_is_told(share: float, noise: float) -> None:
    draw = random.Random(0)
    run = Run(lambda step, seconds: 0.1 * (1 + noise * draw.uniform(-1, 1)), share)
    steps = run.schedule.steps
    assert steps == len(run.factors) == pytest.approx(3000, rel=TOLERANCE)
    assert run.schedule.turns == []
    assert run.factors == [learning_rate_factor(s, steps, WARMUP, share) for s in range(steps)]


LOADS: dict[str, Callable[[int, float], float]] = {
    "slower at 30%": lambda step, seconds: 0.1 if seconds < 90 else 0.2,
    "slower at 70%": lambda step, seconds: 0.1 if seconds < 210 else 0.2,
    "faster at 70%": lambda step, seconds: 0.1 if seconds < 210 else 0.05,
    "ever slower": lambda step, seconds: 0.1 * (1 + seconds / 300),
    "slow first steps": lambda step, seconds: 10.0 if step < WARM_STEPS else 0.1,
    "pictures now and then": lambda step, seconds: 6.0 if step % 500 == 499 else 0.1,
}


@pytest.mark.parametrize("share", [0.4, 0.7, 1.0])
@pytest.mark.parametrize("load", LOADS)
def test_under_changing_load_the_budget_is_kept_and_the_rate_falls_smoothly(
    load: str, share: float
) -> None:
    run = Run(LOADS[load], share)
    assert run.share_of_budget == pytest.approx(1, abs=1.5 * TOLERANCE)
    falling = run.factors[WARMUP:]
    assert all(a >= b for a, b in itertools.pairwise(falling))
    assert run.largest_drop < 0.01  # at these lengths the planned one is up to 0.0014
    assert run.factors[-1] < 0.01


@pytest.mark.parametrize("share", [0.4, 0.7, 1.0])
@pytest.mark.parametrize("start", [300, 1200, 2700])
@pytest.mark.parametrize("times", [4, 10])
def test_steps_that_become_slow_bend_the_rate_and_do_not_break_it(
    start: int, times: int, share: float
) -> None:
    """An adversary that starts: the rate went from 1 to 0.24 in one step."""
    run = Run(lambda step, seconds: 0.1 if step < start else 0.1 * times, share, changes=start)
    assert run.share_of_budget == pytest.approx(1, abs=1.5 * TOLERANCE)
    assert run.largest_drop < 0.03
    assert run.factors[-1] < 0.03


@pytest.mark.parametrize("at", [900, 2400])
def test_a_budget_that_a_pause_uses_up_still_lets_the_rate_fall(at: int) -> None:
    run = Run(lambda step, seconds: 600.0 if step == at else 0.1, 0.4)
    left = len(run.factors) - at
    assert 0.4 * SHORTEST_DECAY * at < left <= SHORTEST_DECAY * at + 2
    assert run.largest_drop < 0.03
    assert run.factors[-1] < 0.03


def test_few_slow_steps_keep_the_budget_too() -> None:
    run = Run(lambda step, seconds: 25.0, 0.4)
    assert len(run.factors) == 12


@pytest.mark.parametrize("stop", [2, 1000, 2200, 2999])
def test_an_interrupted_run_goes_on_with_its_budget_and_its_rate(stop: int) -> None:
    whole = Run(steady, 0.4)
    resumed = Run(steady, 0.4, before=Run(steady, 0.4, until=stop))
    assert len(resumed.factors) == pytest.approx(len(whole.factors), abs=2)
    assert resumed.factors == pytest.approx(whole.factors[: len(resumed.factors)], abs=0.01)
    slow = Run(lambda s, t: 0.2, 0.4, before=Run(LOADS["slower at 70%"], 0.4, until=2400))
    assert slow.schedule.turns and slow.share_of_budget == pytest.approx(1, abs=TOLERANCE)
    assert all(a >= b for a, b in itertools.pairwise(slow.factors[WARMUP:]))


def test_processes_that_are_told_the_same_agree() -> None:
    first, second = (Run(LOADS["ever slower"], 0.7) for _ in range(2))
    assert first.factors == second.factors and first.schedule.turns == second.schedule.turns
