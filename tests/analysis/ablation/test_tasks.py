"""A task in this process: how ends become outcomes, and where its output goes."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from facecond.analysis.ablation.tasks import (
    Outcome,
    Retries,
    Task,
    dead,
    is_disk_full,
    one_line,
    perform,
)
from facecond.errors import UserError
from facecond.training.session import Interrupted


def speak(word: str) -> None:
    print(word)
    os.write(2, b"from below\n")
    subprocess.run([sys.executable, "-c", "print('from a child')"], check=True)


def fail(error: BaseException) -> None:
    raise error


def test_output_of_every_kind_goes_to_the_log(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    task = Task("a", speak, ("hello",), tmp_path / "deep" / "log.txt")
    assert perform(task, 0).state == "done"
    assert perform(task, 0).state == "done"
    log = task.log.read_text()
    assert [log.count(word) for word in ("hello", "from below", "from a child")] == [2, 2, 2]
    print("mine again")
    said = capfd.readouterr()
    assert said.out == "mine again\n" and said.err == ""


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (UserError("is wrong", "here", "Mend it."), "here: is wrong. Mend it."),
        (ValueError("two\nlines"), "ValueError: two lines"),
        (MemoryError(), "MemoryError"),
        (SystemExit(3), "SystemExit: 3"),
    ],
)
def test_a_failure_is_told_in_one_line_and_traced_in_the_log(
    error: BaseException, told: str, tmp_path: Path
) -> None:
    outcome = perform(Task("a", fail, (error,), tmp_path / "log.txt"), 0)
    assert (outcome.state, outcome.error) == ("failed", told)
    assert not outcome.died and not outcome.disk_full
    assert "Traceback" in (tmp_path / "log.txt").read_text()


@pytest.mark.parametrize("error", [Interrupted(15), KeyboardInterrupt()])
def test_a_signal_is_no_failure(error: BaseException, tmp_path: Path) -> None:
    assert perform(Task("a", fail, (error,), tmp_path / "log.txt"), 0).state == "interrupted"


def test_a_full_disk_is_told_from_other_faults(tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "x")
    rust = RuntimeError("Error while serializing: I/O error: File too large (os error 27)")
    wrapped = ValueError("cannot save")
    wrapped.__cause__ = full
    assert is_disk_full(full) and is_disk_full(rust) and is_disk_full(wrapped)
    assert not is_disk_full(OSError(errno.EACCES, os.strerror(errno.EACCES), "x"))
    assert perform(Task("a", fail, (full,), tmp_path / "log.txt"), 0).disk_full


def test_a_log_that_cannot_be_written_is_a_failure_of_the_task(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    outcome = perform(Task("a", speak, ("x",), tmp_path / "file" / "log.txt"), 0)
    assert outcome.state == "failed" and "file" in outcome.error


def test_how_a_dead_process_is_told() -> None:
    assert "SIGKILL: the memory may have run out" in dead(-9).error and dead(-9).died
    assert dead(-11).error.endswith("SIGSEGV") and dead(3).error.endswith("code 3")
    assert one_line(ValueError("x" * 999)) == "ValueError: " + "x" * 400


def test_only_a_dead_process_is_tried_again_and_only_so_often(tmp_path: Path) -> None:
    task, retries = Task("a", speak, ("x",), tmp_path), Retries(2)
    assert not retries.again(task, Outcome("failed", "its own fault"))
    assert [retries.again(task, dead(-9)) for _ in range(3)] == [True, True, False]
