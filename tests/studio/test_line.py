"""The line: order, bounds, cancelling, and faults that stay with those who made them."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from facecond.errors import UserError
from facecond.studio import line as lines
from facecond.studio.line import OUR_FAULT, Event, Job, Line, in_words


class Gate:
    """Work that begins, waits for `release`, and looks whether it is still wanted."""

    def __init__(self) -> None:
        self.begun, self.release = threading.Event(), threading.Event()

    def __call__(self, job: Job) -> Event:
        self.begun.set()
        assert self.release.wait(10)
        job.check()
        return {"state": "done", "name": job.name}


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.release.set()


def last(job: Job) -> Event:
    return job.events.get(timeout=10)


def done(job: Job) -> Event:
    return {"state": "done", "name": job.name}


def test_first_come_first_served(gate: Gate) -> None:
    line, order = Line(), []

    def noted(job: Job) -> Event:
        order.append(job.name)
        return done(job)

    first = line.join("a", "1", gate)
    assert gate.begun.wait(10)
    others = [line.join(name, name, noted) for name in "bcd"]
    assert [line.position(job) for job in (first, *others)] == [0, 1, 2, 3]
    gate.release.set()
    assert [last(job)["name"] for job in (first, *others)] == list("abcd")
    assert order == list("bcd") and line.position(others[-1]) == 0


def test_the_line_is_bounded_and_each_page_has_one_place(gate: Gate) -> None:
    line = Line(waiting=2)
    line.join("a", "1", gate)
    assert gate.begun.wait(10)
    line.join("b", "2", done)
    with pytest.raises(UserError, match="still being drawn"):
        line.join("c", "2", done)
    line.join("c", "3", done)
    with pytest.raises(UserError, match="3 people are waiting"):
        line.join("d", "4", done)


def test_cancelling(gate: Gate) -> None:
    line = Line()
    working = line.join("a", "1", gate)
    assert gate.begun.wait(10)
    waiting, after = line.join("b", "2", done), line.join("c", "3", done)
    assert line.cancel("b") and last(waiting) == {"state": "cancelled"}
    assert line.position(after) == 1
    assert line.cancel("a") and not line.cancel("nobody")
    gate.release.set()
    assert last(working) == {"state": "cancelled"}
    assert last(after)["state"] == "done"
    assert not line.cancel("b")


def test_cancelling_before_it_comes() -> None:
    line = Line()
    assert not line.cancel("a")
    early = line.join("a", "1", done)
    assert last(early) == {"state": "cancelled"} and line.position(early) == 0
    assert last(line.join("a", "1", done))["state"] == "done"  # it was one request


def test_what_was_cancelled_long_ago_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line()
    with monkeypatch.context() as patched:
        patched.setattr(lines, "REMEMBERED_SECONDS", -1.0)
        line.cancel("a")
        assert last(line.join("a", "1", done))["state"] == "done"
    monkeypatch.setattr(lines, "REMEMBERED", 2)
    for name in "abcd":
        line.cancel(name)
    ended = [last(line.join(name, "1", done))["state"] for name in "abcd"]
    assert ended == ["done", "done", "cancelled", "cancelled"]


def test_leaving_is_for_this_job_alone(gate: Gate) -> None:
    line = Line()
    line.join("a", "1", gate)
    assert gate.begun.wait(10)
    with pytest.raises(UserError, match="in the line already"):
        line.join("a", "2", done)
    waiting = line.join("b", "2", done)
    line.leave(waiting)
    again = line.join("b", "2", done)
    line.leave(waiting)
    gate.release.set()
    assert last(waiting) == {"state": "cancelled"} and last(again)["state"] == "done"


def test_an_address_has_its_share_of_the_line(gate: Gate) -> None:
    line = Line(places=2)
    line.join("a", "1", gate, "10.0.0.1")
    line.join("b", "2", done, "10.0.0.1")
    with pytest.raises(UserError, match="2 requests from your address"):
        line.join("c", "3", done, "10.0.0.1")
    line.join("d", "4", done, "10.0.0.2")
    for name in "efg":  # where it is not known, nobody is refused for it
        line.join(name, name, done)


def test_a_fault_harms_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    def at_fault(job: Job) -> Event:
        raise UserError("the mask is odd", "mask", "Paint another.")

    def broken(job: Job) -> Event:
        raise ZeroDivisionError("secret path /etc")

    line = Line()
    jobs = [line.join(str(i), str(i), work) for i, work in enumerate((at_fault, broken, done))]
    assert last(jobs[0]) == {"state": "error", "what": "the mask is odd", "fix": "Paint another."}
    assert last(jobs[1]) == OUR_FAULT and "secret" not in str(OUR_FAULT)
    assert last(jobs[2])["state"] == "done"
    assert "secret path" in caplog.text


def test_what_was_sent_does_not_go_back_as_a_whole() -> None:
    told = lines.in_words(UserError("x" * 10**7, "mask", "y" * 10**7))
    assert len(told["what"]) + len(told["fix"]) < 1000


def test_a_long_fault_ends_with_a_whole_word() -> None:
    told = in_words(UserError("wonderful " * 100, "mask", "Try again."))
    assert set(told["what"].split()) == {"wonderful", "..."}


def test_memory_that_runs_out_is_said_in_words() -> None:
    told = in_words(MemoryError())
    assert told["state"] == "error" and "memory ran out" in told["what"] and "fewer" in told["fix"]
