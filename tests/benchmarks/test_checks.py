"""Unfair work, skipped work and wrong answers are found before a time counts."""

from __future__ import annotations

import pytest
import torch

from facecond.benchmarks.checks import (
    CheckFailed,
    agree,
    poisoned,
    renewed,
    same_work,
    verify,
    written,
)


def test_five_percent_of_parameters_are_too_many() -> None:
    with pytest.raises(CheckFailed, match=r"b has 1,050 parameters, 5\.0% apart from 1,000; 2%"):
        same_work({"a": {"parameters": 1000}, "b": {"parameters": 1050}})
    with pytest.raises(CheckFailed, match="b has 950 parameters"):
        same_work({"a": {"parameters": 1000}, "b": {"parameters": 950}})


def test_what_is_equal_is_told() -> None:
    work = {
        "a": {"parameters": 1_000_000, "tokens": 123, "steps": 4},
        "b": {"parameters": 1_015_000, "tokens": 123},
    }
    told = same_work(work)
    assert told == "parameters 1,000,000, tokens 123, steps 4, parameters at most 1.50% apart"


@pytest.mark.parametrize("key", ["tokens", "latents", "batch", "steps"])
def test_other_work_is_refused(key: str) -> None:
    with pytest.raises(CheckFailed, match=f"b has {key} 8, the first one 4"):
        same_work({"a": {key: 4}, "b": {key: 8}})


def test_poison_is_found() -> None:
    out = poisoned((4, 5))
    assert out.isnan().all()
    out[:2] = 1
    with pytest.raises(CheckFailed, match="skipper left 50% of its result"):
        written(out, "skipper")
    out[:] = 1
    written(out, "worker")
    out[0, 0] = torch.inf
    with pytest.raises(CheckFailed, match="not finite"):
        written(out, "worker")


def test_a_stale_result_is_found() -> None:
    renewed(torch.ones(3), None, "first")
    renewed(torch.ones(3), torch.zeros(3), "worker")
    with pytest.raises(CheckFailed, match="sleeper gave the same result for other inputs"):
        renewed(torch.ones(3), torch.ones(3), "sleeper")


def test_agreement_is_relative() -> None:
    first = torch.tensor([3.0, 4.0])
    assert agree(first, first * 1.001, 0.01, "x") == pytest.approx(0.001, rel=1e-3)
    with pytest.raises(CheckFailed, match=r"x: 0\.1 apart, 0\.01 allowed"):
        agree(first, first * 1.1, 0.01, "x")
    with pytest.raises(CheckFailed, match="shapes"):
        agree(first, torch.ones(3), 0.01, "x")
    with pytest.raises(CheckFailed):
        agree(first, torch.full((2,), torch.nan), 0.01, "x")


def test_a_contender_is_verified(planted) -> None:
    assert verify("honest", planted()).eq(-1).all()
    with pytest.raises(CheckFailed, match="left 100%"):
        verify("skipper", planted(run=lambda given, out: None))
    draw = planted(run=lambda given, out: out.copy_(torch.rand_like(out)))
    with pytest.raises(CheckFailed, match="on the same inputs again"):
        verify("dice", draw)
    draw.steady = False
    verify("dice", draw)
