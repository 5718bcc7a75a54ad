"""The steps of a run: the clock of a budget, when things are due, how a run goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import Dataset

from facecond.config import RunConfig
from facecond.errors import UserError
from facecond.training import checkpoint, steps
from facecond.training.steps import Steps, total
from facecond.training.updates import Updates


class Keys(Dataset[Any]):
    """Items that are their own keys."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, key: tuple[int, int]) -> tuple[int, int]:
        return key


@pytest.fixture(scope="module")
def accelerator() -> Accelerator:
    return Accelerator(cpu=not torch.cuda.is_available())


def made(accelerator: Accelerator, out: Path, **knobs: Any) -> Steps:
    config = RunConfig()
    config.train.batch_size, config.train.checkpoint_every_s = 4, 1e6
    for name, value in knobs.items():
        setattr(config.train, name, value)
    module = nn.Linear(2, 2)
    updates = Updates.of(module, config.optim, out)
    return Steps(accelerator, config, out, {"seed": 0}, {"model": module}, updates)


def test_the_wishes_of_processes_are_summed(accelerator: Accelerator) -> None:
    assert total(accelerator, True, 0.25, False) == [1.0, 0.25, 0.0]


def test_things_are_due_every_so_often_and_at_the_end(
    accelerator: Accelerator, tmp_path: Path
) -> None:
    due = []
    with made(accelerator, tmp_path, steps=5) as run:
        while run.remain:
            run.advance()
            due.append(run.is_due(2))
            run.save_or_stop()
    assert due == [False, True, False, True, True] and run.record()["steps"] == 5
    assert not (tmp_path / "checkpoints").exists()


def test_a_budget_counts_the_seconds_before_an_interruption(
    accelerator: Accelerator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(steps.time, "monotonic", lambda: now[0])

    def go(run: Steps, most: int) -> int:
        with run:
            while run.remain and run.count < most:
                now[0] += 1.0
                run.advance()
        return run.count

    first = made(accelerator, tmp_path, minutes=1)
    assert go(first, 20) == 20
    first.save()
    now[0] += 5000
    found = checkpoint.load_newest(tmp_path / "checkpoints")
    assert found is not None
    second = made(accelerator, tmp_path, minutes=1)
    second.resume(found[2])
    assert second.schedule.steps == 60 and go(second, 10**6) == 60
    assert second.record()["turns"] == []


def test_a_checkpoint_without_a_schedule_goes_on(accelerator: Accelerator, tmp_path: Path) -> None:
    first = made(accelerator, tmp_path, steps=5)
    state = {"step": 3, "model": first.modules["model"].state_dict()}
    first.resume(state | first.updates.state_dict())
    assert first.count == 3 and first.schedule.steps == 5 and first.remain


def test_a_checkpoint_without_a_part_is_named(accelerator: Accelerator, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no weights of the model.*--resume never"):
        made(accelerator, tmp_path, steps=5).resume({"step": 2})


def test_batches_go_on_with_the_samples_that_come_next(
    accelerator: Accelerator, tmp_path: Path
) -> None:
    whole, later = (made(accelerator, tmp_path, steps=9) for _ in range(2))
    batches = whole.batches(Keys(), collate=list)
    seen = [next(batches) for _ in range(6)]
    later.count = 4
    assert [next(later.batches(Keys(), collate=list)) for _ in range(1)] == seen[4:5]
    assert {index for batch in seen[:2] for _, index in batch} <= set(range(10))
