"""What one process measures of a case, with planted contenders."""

from __future__ import annotations

from typing import Any

import pytest

from facecond.benchmarks import start_up, worker
from facecond.benchmarks.cases import Case
from facecond.benchmarks.settings import Settings


def plant(monkeypatch: pytest.MonkeyPatch, entries: dict[str, Any]) -> None:
    monkeypatch.setattr(start_up, "entries", lambda settings, case: entries)


def request(settings: Settings, **more: Any) -> dict[str, Any]:
    return {"settings": settings.to_dict(), "case": "start-up", **more}


def test_rows_of_planted_times(planted, quick: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    times = {"first": iter([0.0, 0.0, 1.0, 2.0]), "second": iter([0.0, 0.0, 3.0, 4.0])}

    def contender(name: str) -> Any:
        def run(given: Any, out: Any) -> float:
            out.copy_(given)
            return next(times[name])

        return planted(run=run, work={"tokens": 4})

    plant(monkeypatch, {name: lambda name=name: contender(name) for name in times})
    found = worker.answer(request(quick))
    first, second = found["rows"]
    assert (first["median_s"], first["min_s"], first["max_s"], first["n"]) == (1.5, 1.0, 2.0, 2)
    assert first["per_second"] == pytest.approx(2 / 1.5) and "ratio" not in first
    assert (second["ratio"], second["ratio_min"], second["ratio_max"]) == (2.5, 2.0, 3.0)
    assert found["work"] == "tokens 4" and found["peers"].keys() == {"diffusers"}


def test_faults_come_back_as_values(
    planted, quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = {"a": lambda: planted(work={"parameters": 1000}),
               "b": lambda: planted(work={"parameters": 1050})}  # fmt: skip
    plant(monkeypatch, entries)
    assert "5.0% apart" in worker.answer(request(quick))["failed"]
    asked = {"settings": quick.to_dict(), "case": "equal-quality"}
    assert worker.answer(asked)["error"][0] == "needs faces and judges"


def test_memory_of_one_contender(planted, quick: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []
    made = planted(close=lambda: closed.append(True))
    plant(monkeypatch, {"a": lambda: made, "b": lambda: pytest.fail("is not asked for")})
    found = worker.answer(request(quick, only="a"))
    assert found["peak_mib"] >= found["before_mib"] > 10 and closed == [True]


def test_in_pairs_the_first_meets_the_others_in_turn(
    planted, quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: set[str] = set()
    met: list[frozenset[str]] = []

    def contender(name: str) -> Any:
        alive.add(name)

        def run(given: Any, out: Any) -> None:
            met.append(frozenset(alive))
            out.copy_(given)

        return planted(run=run, close=lambda: alive.discard(name))

    plant(monkeypatch, {name: lambda name=name: contender(name) for name in "abc"})
    monkeypatch.setitem(worker.CASES, "start-up", Case("start_up", "", in_pairs=True))
    rows = worker.answer(request(quick))["rows"]
    assert set(met) == {frozenset("ab"), frozenset("ac")}
    assert [(row["contender"], row.get("reference")) for row in rows] == [
        ("a", None), ("b", "a"), ("c", "a"),
    ]  # fmt: skip
