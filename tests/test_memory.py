"""Memory that runs out: recognised, said in words, and worked around."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from facecond.cli import TABLE, main
from facecond.commands import routing
from facecond.errors import UserError
from facecond.memory import FewerAtATime, memory_faults, ran_out

TOO_MUCH = 1 << 47
"""Bytes: more than a process can address."""


def test_what_torch_and_numpy_say_is_recognised() -> None:
    with pytest.raises(RuntimeError) as plain:
        torch.empty(TOO_MUCH, dtype=torch.uint8)
    with pytest.raises(MemoryError) as numpys:
        np.empty(TOO_MUCH, np.uint8)
    assert ran_out(plain.value) and ran_out(numpys.value)
    assert ran_out(torch.OutOfMemoryError("HIP out of memory."))
    for told in ("CUDA error: out of memory", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when"):
        assert ran_out(RuntimeError(told))
    assert not ran_out(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not ran_out(ValueError("not enough memory"))


class Small:
    """Adds one to up to `room` items."""

    def __init__(self, room: int) -> None:
        self.room, self.tried = room, list[int]()

    def __call__(self, part: Sequence[int]) -> list[int]:
        self.tried.append(len(part))
        if len(part) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return [one + 1 for one in part]


def test_parts_are_halved_until_they_fit_and_stay_small(
    capsys: pytest.CaptureFixture[str],
) -> None:
    fewer, work = FewerAtATime(), Small(room=3)
    found = list(fewer(work, range(10)))
    assert [list(part) for part, _ in found] == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    assert [one for _, made in found for one in made] == list(range(1, 11))
    assert work.tried[:3] == [10, 5, 2] and fewer.most == 2
    assert "5 faces at a time" in (told := capsys.readouterr().err) and "2 faces" in told
    list(fewer(work, range(4)))
    assert work.tried[-2:] == [2, 2]  # the next batch begins small


def test_with_enough_memory_a_batch_is_whole() -> None:
    fewer, work = FewerAtATime(), Small(room=99)
    assert [list(part) for part, _ in fewer(work, range(10))] == [list(range(10))]
    assert fewer.most is None and work.tried == [10]


def test_one_face_that_does_not_fit_is_said_in_words() -> None:
    with pytest.raises(UserError, match=r"the memory ran out.*Do less at a time"):
        list(FewerAtATime()(Small(room=0), range(4)))


def test_other_errors_pass() -> None:
    def broken(part: Sequence[int]) -> None:
        raise RuntimeError("shapes")

    with pytest.raises(RuntimeError, match="shapes"):
        list(FewerAtATime()(broken, range(4)))
    with pytest.raises(RuntimeError, match="shapes"), memory_faults("train", "Lower it."):
        broken([])


def test_a_fix_is_named() -> None:
    told = r"train: the memory ran out\. Lower it\."
    with pytest.raises(UserError, match=told), memory_faults("train", "Lower it."):
        torch.empty(TOO_MUCH, dtype=torch.uint8)


def test_no_command_ends_with_a_trace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def greedy(args: object) -> int:
        torch.empty(TOO_MUCH, dtype=torch.uint8)
        return 0

    assert "routing" in TABLE
    monkeypatch.setattr(routing, "run", greedy)
    assert main(["routing", "show", "all_all"]) == 2
    assert capsys.readouterr().err.startswith("facecond: error: facecond routing: the memory ran")
