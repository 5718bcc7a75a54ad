"""One piece of work of a study: a call in a process of its own, with its output in a file."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TextIO

from facecond.errors import UserError

State = Literal["done", "failed", "interrupted"]

_FULL = (
    "no space left on device", "os error 28", "disk quota exceeded", "os error 122",
    "file too large", "os error 27",
)  # fmt: skip
"""What errors say when nothing more can be written; not all of them are an `OSError`."""


@dataclass(frozen=True)
class Task:
    """`function(*arguments)`, a call of a module's function, which any process can make."""

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    log: Path
    """Takes what the call prints."""


@dataclass(frozen=True)
class Outcome:
    """How a task ended.

    Attributes:
        error: one line; empty when done.
        died: its process ended without a word, so that another try may help.
        disk_full: nothing more can be written: the other tasks would fail too.
    """

    state: State
    error: str = ""
    seconds: float = 0.0
    died: bool = False
    disk_full: bool = False


@dataclass(frozen=True)
class Event:
    """A task began (`outcome` is None) or ended."""

    task: Task
    outcome: Outcome | None = None


class Engine(Protocol):
    """Where tasks are done.

    Attributes:
        title: for humans: "2 processes".
    """

    title: str

    def run(self, tasks: list[Task], stopped: Callable[[], int]) -> Iterator[Event | None]:
        """Do all tasks, in any order, several at a time. Yields what happens, and None about once
        a second. When `stopped` tells a signal, the tasks at work are asked to save their state
        and end, and no other begins. A caller that closes the iterator early asks for the same."""
        ...


@dataclass
class Retries:
    """Counts how often the process of a task died."""

    limit: int
    counts: dict[str, int] = field(default_factory=dict)

    def again(self, task: Task, outcome: Outcome) -> bool:
        """Whether to try once more."""
        if not outcome.died:
            return False
        self.counts[task.name] = self.counts.get(task.name, 0) + 1
        return self.counts[task.name] <= self.limit


def perform(task: Task, threads: int) -> Outcome:
    """Do a task in this process; every end but that of the process itself becomes an outcome."""
    import torch

    from facecond.training.session import Interrupted

    if threads:
        torch.set_num_threads(threads)
    began = time.monotonic()

    def ended(state: State, error: str = "", disk_full: bool = False) -> Outcome:
        return Outcome(state, error, time.monotonic() - began, disk_full=disk_full)

    try:
        with _output_to(task.log):
            try:
                task.function(*task.arguments)
            except (Interrupted, KeyboardInterrupt):
                raise
            except BaseException:
                traceback.print_exc()
                raise
        return ended("done")
    except (Interrupted, KeyboardInterrupt):
        return ended("interrupted", "stopped by a signal, state saved")
    except BaseException as error:
        return ended("failed", one_line(error), disk_full=is_disk_full(error))


def one_line(error: BaseException) -> str:
    """An error as a user may read it."""
    text = " ".join(str(error).split())[:400]
    if isinstance(error, UserError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def is_disk_full(error: BaseException) -> bool:
    """Whether this error, or one behind it, says that nothing more can be written."""
    seen: BaseException | None = error
    while seen is not None:
        if any(words in str(seen).lower() for words in _FULL):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def dead(exitcode: int | None) -> Outcome:
    """The outcome of a process that ended without telling one."""
    if exitcode is not None and exitcode < 0:
        import signal

        name = signal.Signals(-exitcode).name
        hint = ": the memory may have run out" if name == "SIGKILL" else ""
        return Outcome("failed", f"its process was ended by {name}{hint}", died=True)
    return Outcome("failed", f"its process ended with code {exitcode}", died=True)


def _stream(handle: int) -> TextIO:
    raw = io.FileIO(handle, "w", closefd=False)
    return io.TextIOWrapper(raw, "utf-8", errors="replace", line_buffering=True, write_through=True)


@contextlib.contextmanager
def _output_to(log: Path) -> Iterator[None]:
    """Send standard output and error, of this process and those it starts, to a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush(), sys.stderr.flush()
    before = [os.dup(1), os.dup(2)]
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    streams = sys.stdout, sys.stderr
    try:
        os.dup2(handle, 1), os.dup2(handle, 2)
        # A host (Ray, pytest) may have put streams of its own in place.
        sys.stdout, sys.stderr = _stream(1), _stream(2)
        yield
    finally:
        with contextlib.suppress(OSError):  # a full disk: the task's own error says so
            sys.stdout.flush(), sys.stderr.flush()
        sys.stdout, sys.stderr = streams
        for number, copy in enumerate(before, 1):
            os.dup2(copy, number)
            os.close(copy)
        os.close(handle)
