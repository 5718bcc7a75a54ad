"""Tasks in processes of this machine."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from facecond.analysis.ablation.local import Local, threads_each
from facecond.analysis.ablation.tasks import Event, Task


@pytest.fixture(autouse=True)
def importable_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other processes find the functions of this file, wherever pytest was started."""
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[3])


def note(place: Path, seconds: float = 0.0) -> None:
    time.sleep(seconds)
    with open(place, "a", encoding="utf-8") as file:
        file.write(f"{os.getpid()}\n")


def die_once(place: Path) -> None:
    if not place.exists():
        place.write_text("died here")
        os.kill(os.getpid(), signal.SIGKILL)


def fail() -> None:
    raise ValueError("as planned")


def ends(events: list[Event | None]) -> dict[str, str]:
    return {e.task.name: e.outcome.state for e in events if e is not None and e.outcome}


def test_all_are_done_whatever_some_do(tmp_path: Path) -> None:
    """One fails, one dies for good, one dies once; each in a process of its own."""
    log = tmp_path / "log.txt"
    tasks = [
        Task("first", note, (tmp_path / "pids",), log),
        Task("fails", fail, (), log),
        Task("dies", os._exit, (7,), log),
        Task("dies once", die_once, (tmp_path / "mark",), log),
        Task("last", note, (tmp_path / "pids",), log),
    ]
    events = list(Local(2, retries=1).run(tasks, lambda: 0))
    assert ends(events) == {
        "first": "done", "fails": "failed", "dies": "failed", "dies once": "done", "last": "done"
    }  # fmt: skip
    errors = {e.task.name: e.outcome.error for e in events if e is not None and e.outcome}
    assert errors["fails"] == "ValueError: as planned"
    assert errors["dies"] == "its process ended with code 7"
    pids = (tmp_path / "pids").read_text().split()
    assert len(set(pids)) == 2 and str(os.getpid()) not in pids


def test_a_signal_ends_what_is_at_work_and_begins_nothing_more(tmp_path: Path) -> None:
    log, began = tmp_path / "log.txt", time.monotonic()
    tasks = [Task(name, note, (tmp_path / name, 300.0), log) for name in ("a", "b")]
    started: list[Event] = []
    events = []

    def signalled() -> int:
        return signal.SIGTERM if started else 0

    for event in Local(1).run(tasks, signalled):
        events.append(event)
        started += [event] if event is not None else []
    assert ends(events) == {"a": "interrupted"}
    assert time.monotonic() - began < 120
    assert not (tmp_path / "a").exists() and not (tmp_path / "b").exists()


def test_threads_are_split_unless_the_user_says_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS")
    cores = len(os.sched_getaffinity(0))
    assert threads_each(1) == cores and threads_each(cores) == 1 and threads_each(999) == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads_each(2) == 0
