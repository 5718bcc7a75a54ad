"""What trainings share: the length of a run with a time budget, and giving up."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from facecond.errors import UserError
from facecond.training import session
from facecond.training.session import CALIBRATION, Length

FIRST, LAST = CALIBRATION


@pytest.fixture(scope="module")
def accelerator() -> Accelerator:
    return Accelerator(cpu=not torch.cuda.is_available())


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that the session sees."""
    now = [100.0]
    monkeypatch.setattr(session.time, "monotonic", lambda: now[0])
    return now


def run(length: Length, clock: list[float], step: int, pace: dict[int, float]) -> int:
    """Steps until the end; `pace` gives seconds per step from a step on."""
    while length.steps == 0 or step < length.steps:
        clock[0] += pace[max(start for start in pace if start <= step)]
        step += 1
        length.after(step)
        assert step < 100_000
    return step


def test_a_length_that_is_told_stays(accelerator: Accelerator, clock: list[float]) -> None:
    length = Length(accelerator, 7, 99.0, began_at=0)
    assert run(length, clock, 0, {0: 1e6}) == 7


@pytest.mark.parametrize("began", [0, 500])
def test_a_budget_is_met(accelerator: Accelerator, clock: list[float], began: int) -> None:
    """Slow first steps are not what the speed is measured on, but they count as time."""
    length = Length(accelerator, 0, 10.0, began_at=began)
    end = run(length, clock, began, {0: 2.0, began: 2.0, began + FIRST: 0.5})
    assert end - began == FIRST + round((600 - 2.0 * FIRST) / 0.5)
    assert clock[0] - 100 == pytest.approx(600, abs=1)


def test_slower_steps_later_are_foreseen(accelerator: Accelerator, clock: list[float]) -> None:
    length = Length(accelerator, 0, 10.0, began_at=0, slower_from=200)
    run(length, clock, 0, {0: 0.5, 200: 2.0})
    assert clock[0] - 100 == pytest.approx(600, abs=2)


def test_slower_steps_out_of_reach_do_not_matter(
    accelerator: Accelerator, clock: list[float]
) -> None:
    length = Length(accelerator, 0, 10.0, began_at=0, slower_from=50_000)
    assert run(length, clock, 0, {0: 0.5}) == 1200
    resumed = Length(accelerator, 0, 10.0, began_at=300, slower_from=200)  # they have begun
    assert run(resumed, clock, 300, {0: 0.5}) == 300 + 1200


def test_a_budget_that_is_over_ends_at_once(accelerator: Accelerator, clock: list[float]) -> None:
    length = Length(accelerator, 0, 0.01, began_at=0)
    assert run(length, clock, 0, {0: 5.0}) == LAST + 1


def test_wishes_of_one_process_are_its_own(accelerator: Accelerator) -> None:
    assert session.agreed(accelerator, True, False) == [True, False]


def test_a_hopeless_run_is_given_up() -> None:
    session.give_up_if_hopeless(session.MAX_BAD_STEPS - 1, 50, Path("run"))
    with pytest.raises(UserError, match=r"run: the loss was not finite for 10 steps .*step 50"):
        session.give_up_if_hopeless(session.MAX_BAD_STEPS, 50, Path("run"))
