"""Rounds, medians and ratios, on planted figures; no time is asserted."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from facecond.benchmarks.checks import CheckFailed
from facecond.benchmarks.timing import Spread, interleaved, ratios


def test_spread_and_ratios_of_planted_figures() -> None:
    assert Spread.of([3.0, 1.0, 2.0, 10.0]) == Spread(4, 2.5, 1.0, 10.0)
    # A machine that slows down threefold in the second round leaves the ratio as it is.
    assert ratios([2.0, 6.0, 2.0], [1.0, 3.0, 1.0]) == Spread(3, 2.0, 2.0, 2.0)
    assert ratios([2.0, 6.0, 4.0], [1.0, 2.0, 1.0]) == Spread(3, 3.0, 2.0, 4.0)


def test_contenders_take_turns(planted) -> None:
    order: list[tuple[str, float]] = []

    def runner(name: str) -> Any:
        def run(given: torch.Tensor, out: torch.Tensor) -> float:
            order.append((name, float(given[0, 0])))
            out.copy_(given)
            return len(order)

        return run

    contenders = {name: planted(run=runner(name)) for name in "abc"}
    spent = interleaved(contenders, 4)
    assert [name for name, _ in order] == list("abcbcacababc")
    assert [repeat for _, repeat in order] == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    assert spent["a"] == [1, 6, 8, 10]  # a contender's own seconds are taken where it has them


def test_times_are_measured_where_none_are_told(planted) -> None:
    (spent,) = interleaved({"a": planted()}, 3).values()
    assert len(spent) == 3 and all(each > 0 for each in spent)


def test_a_computation_that_is_skipped_is_found(planted) -> None:
    kept: list[torch.Tensor] = []

    def lazy(given: torch.Tensor, out: torch.Tensor) -> None:
        kept.append(given)
        out.copy_(kept[0])

    with pytest.raises(CheckFailed, match="lazy gave the same result"):
        interleaved({"lazy": planted(run=lazy)}, 2)
    with pytest.raises(CheckFailed, match="left 100%"):
        interleaved({"absent": planted(run=lambda given, out: None)}, 1)
    before = {"stuck": torch.zeros(2, 3)}
    with pytest.raises(CheckFailed, match="stuck gave the same result"):
        interleaved({"stuck": planted(prepare=lambda _: torch.zeros(2, 3))}, 1, before=before)
    interleaved({"data": planted(prepare=lambda _: torch.zeros(2, 3), fresh=False)}, 3)
