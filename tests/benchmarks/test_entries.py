"""Every case at its tiny size: its checks hold on real components. No time is asserted."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module

import pytest

from facecond.benchmarks import sample
from facecond.benchmarks.cases import CASES
from facecond.benchmarks.checks import CheckFailed, same_work, verify
from facecond.benchmarks.denoisers import Rival, rivals
from facecond.benchmarks.settings import Settings
from facecond.benchmarks.timing import interleaved
from facecond.benchmarks.work import work_of

FAST = ["forward-64", "train-64", "sample-64", "latents", "grow-batch", "grow-sources"]
SLOW = ["first-stage", "prepare", "studio", "start-up", "grow-resolution", "grow-tokens",
        "grow-steps", "grow-cache", "grow-pairs", "grow-processes"]  # fmt: skip


@pytest.mark.parametrize("case", [*FAST, *(pytest.param(c, marks=pytest.mark.slow) for c in SLOW)])
def test_checks_hold(case: str, quick: Settings) -> None:
    entries = import_module(f"facecond.benchmarks.{CASES[case].module}").entries(quick, case)
    contenders = {name: make() for name, make in entries.items()}
    try:
        same_work({name: each.work for name, each in contenders.items()})
        before = {name: verify(name, each) for name, each in contenders.items()}
        spent = interleaved(contenders, 1, before=before)
    finally:
        for each in contenders.values():
            each.close()
    assert all(len(times) == 1 and times[0] > 0 for times in spent.values())
    if case in ("forward-64", "train-64", "sample-64"):
        assert list(contenders) == ["facecond", "diffusers"]


def test_beside_compiled_networks_peers_run_as_they_are_too(quick: Settings) -> None:
    compiling = replace(quick, compile=True)
    made = rivals(compiling, work_of("forward-64", compiling), training=False)
    assert list(made) == ["facecond", "diffusers", "diffusers-eager"]
    assert not made["diffusers-eager"]().compiled and made["diffusers"]().compiled


def test_a_sampler_that_guides_wrongly_is_found(
    quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = sample.own_sampler

    def wrong(rival: Rival, work, settings):
        sampler = right(rival, work, settings)
        return lambda batch, steps: sampler(batch, steps) * 1.01

    monkeypatch.setattr(sample, "own_sampler", wrong)
    entries = sample.entries(quick, "sample-64")
    with pytest.raises(CheckFailed, match=r"samples of facecond: 0\.01 apart"):
        entries["facecond"]()


def test_beyond_what_is_searched_time_is_scaled_by_blocks() -> None:
    from facecond.benchmarks.data_growth import BLOCK, blocks_of

    assert [blocks_of(count) for count in (1, BLOCK, BLOCK + 1, 4 * BLOCK)] == [1, 1, 3, 10]
