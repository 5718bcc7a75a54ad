"""The soak: planted answers, and a few requests to a studio that is served."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facecond.benchmarks import worker
from facecond.benchmarks.checks import CheckFailed
from facecond.benchmarks.served import ServedStudio
from facecond.benchmarks.settings import Settings
from facecond.benchmarks.soak import VISITORS, asked_by, check, growth_of, visit_all
from facecond.benchmarks.table import contender_text
from facecond.data.writing import encode_png
from facecond.studio.codec import file_text

Ask = Callable[[int, int], dict[str, Any]]


def drawn(seed: int) -> dict[str, Any]:
    """The last event of a drawing of one face."""
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    return {"state": "done", "faces": [{"seed": seed, "png": file_text(encode_png(pixels))}]}


def faithful(number: int, visitor: int) -> dict[str, Any]:
    return drawn(asked_by(number))


def test_all_visitors_ask_at_once_and_every_request_is_answered() -> None:
    together = threading.Barrier(VISITORS)
    visitors = set()

    def ask(number: int, visitor: int) -> dict[str, Any]:
        if number < VISITORS:
            together.wait(timeout=60)  # passes only when all of them are here
        visitors.add(visitor)
        return faithful(number, visitor)

    answers = visit_all(ask, range(40), lambda: 7.0)
    assert sorted(answer.number for answer in answers) == list(range(40))
    assert [answer.ended for answer in answers] == sorted(answer.ended for answer in answers)
    assert visitors == set(range(VISITORS)) and {a.resident_mib for a in answers} == {7.0}
    assert check(answers) == 4  # the 9th, 19th, ...
    assert len({answer.picture for answer in answers}) == 36


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (lambda number: {"state": "error", "what": "the line is full"}, "1 of 20 requests"),
        (lambda number: {"state": "done", "faces": []}, "1 of 20 requests were lost"),
        (lambda number: {}, "KeyError"),
        (lambda number: drawn(99), "request 19 repeats 10, and got another picture"),
        (lambda number: drawn(3), "two different requests got the same picture"),
    ],
    ids=["refused", "no face", "no answer", "not the same again", "that of another"],
)  # fmt: skip
def test_a_fault_is_found(fault: Callable[[int], dict[str, Any]], said: str) -> None:
    struck = {"request 19 repeats 10, and got another picture": 19}.get(said, 5)

    def ask(number: int, visitor: int) -> dict[str, Any]:
        return fault(number) if number == struck else faithful(number, visitor)

    with pytest.raises(CheckFailed, match=said):
        check(visit_all(ask, range(20), lambda: 0.0))


def test_growth_of_planted_memory() -> None:
    told = growth_of([100.0, 102.0, 101.0, 500.0, 0.0, 103.0, 109.0, 111.0])
    assert told == {"first_quarter_mib": 101.0, "last_quarter_mib": 110.0, "growth_mib": 9.0}
    assert growth_of([5.0])["growth_mib"] == 0


def test_the_table_says_what_became_of_requests_and_memory() -> None:
    facts = {"p95_s": 1.25, "lost": 0, "first_quarter_mib": 801.2, "last_quarter_mib": 803.9}
    row = {"contender": "8 visitors", "facts": facts}
    assert contender_text(row) == "8 visitors (p95 1.25 s; 0 lost; 801 to 804 MiB)"


@pytest.mark.slow
def test_a_studio_that_does_not_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match="did not start: facecond: error: "):
        ServedStudio(tmp_path / "nothing", tmp_path).__enter__()


@pytest.mark.slow
def test_requests_to_a_served_studio(quick: Settings) -> None:
    pytest.importorskip("gradio", reason="Gradio is not installed (extra [studio])")
    asked = replace(quick, requests=12, peers={})
    found = worker.answer({"settings": asked.to_dict(), "case": "studio-soak"})
    (row,) = found["rows"]
    assert row["n"] == len(row["all_s"]) == len(row["resident_mib"]) == 12
    assert row["min_s"] <= row["median_s"] <= row["facts"]["p95_s"] + 1e-3 <= row["max_s"] + 2e-3
    facts = row["facts"]
    assert (facts["lost"], facts["same_again"], facts["files_left"]) == (0, 1, 0)
    assert row["peak_mib"] + 0.1 >= facts["last_quarter_mib"] > 100  # the latter is rounded
