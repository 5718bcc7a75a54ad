"""The training log: planted losses come back by noise level, in both places."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from facecond.diffusion.objective import Objective
from facecond.training.log import MeansLog, TrainingLog


def optimizer(rate: float = 0.25) -> list[torch.optim.Optimizer]:
    return [torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=rate)]


def rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def scalars(out: Path) -> EventAccumulator:
    events = EventAccumulator(str(out / "tensorboard"))
    events.Reload()
    return events


def collect(log: TrainingLog, levels: list[float], losses: list[float], norm: float = 2.0) -> None:
    log.collect(torch.tensor(levels), torch.tensor(losses), torch.tensor(norm), len(levels))


def test_losses_by_noise_level(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path, Objective(), 0)
    collect(log, [0.05, 0.95, 0.99], [1.0, 4.0, 6.0], norm=9.0)
    collect(log, [0.01, 0.55], [3.0, 7.0], norm=2.5)
    shown = log.write(10, optimizer())
    log.tensorboard.close()
    (row,) = rows(tmp_path)
    assert row["step"] == 10
    assert row["loss"] == pytest.approx(21 / 5)
    assert row["loss_by_bin"] == [2.0, None, None, None, None, 7.0, None, None, None, 5.0]
    assert row["gradient_norm"] == 2.5 and row["learning_rate"] == 0.25
    assert row["images_per_second"] > 0
    assert shown["loss"] == "4.200"
    events = scalars(tmp_path)
    assert [(e.step, e.value) for e in events.Scalars("loss_by_bin/0.0")] == [(10, 2.0)]
    assert [(e.step, e.value) for e in events.Scalars("loss_by_bin/0.9")] == [(10, 5.0)]
    assert "loss_by_bin/0.3" not in events.Tags()["scalars"]
    assert events.Scalars("learning_rate")[0].value == 0.25


def test_the_perceptual_loss_is_the_mean_over_samples_that_have_one(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path, Objective(), 0)
    for step, active in ((1, [True, False, True]), (2, [False] * 3), (3, None)):
        collect(log, [0.05, 0.5, 0.1], [1.0, 1.0, 1.0])
        if active is not None:
            log.collect_perceptual(torch.tensor([2.0, 0.0, 3.0]), torch.tensor(active))
            log.collect_perceptual(torch.tensor([4.0, 0.0, 0.0]), torch.tensor([any(active)] * 3))
        log.write(step, optimizer())
    log.tensorboard.close()
    found = rows(tmp_path)
    assert found[0]["perceptual_loss"] == pytest.approx(9 / 5)
    assert found[1]["perceptual_loss"] is None and "perceptual_loss" not in found[2]
    assert [e.step for e in scalars(tmp_path).Scalars("perceptual_loss")] == [1]


def test_each_row_starts_from_nothing(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path, Objective(), 0)
    collect(log, [0.05], [100.0])
    log.write(1, optimizer())
    collect(log, [0.15], [2.0])
    log.write(2, optimizer(0.5))
    log.tensorboard.close()
    first, second = rows(tmp_path)
    assert (first["loss"], second["loss"]) == (100.0, 2.0)
    assert second["loss_by_bin"][:2] == [None, 2.0]
    assert (first["learning_rate"], second["learning_rate"]) == (0.25, 0.5)


def test_effective_weight_is_logged_by_bin(tmp_path: Path) -> None:
    objective = Objective()
    log = TrainingLog(tmp_path, objective, 0)
    log.tensorboard.close()
    events = scalars(tmp_path).Scalars("effective_weight_by_bin")
    assert [e.step for e in events] == list(range(10))
    assert [e.value for e in events] == pytest.approx(objective.effective_weight(), rel=1e-5)


def test_resuming_drops_rows_past_the_checkpoint(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path, Objective(), 0)
    for step in (10, 20, 30):
        collect(log, [0.5], [float(step)])
        log.write(step, optimizer())
    log.tensorboard.close()
    resumed = TrainingLog(tmp_path, Objective(), 20)
    assert [row["step"] for row in rows(tmp_path)] == [10, 20]
    collect(resumed, [0.5], [3.5])
    resumed.write(30, optimizer())
    resumed.tensorboard.close()
    assert [(row["step"], row["loss"]) for row in rows(tmp_path)] == [
        (10, 10.0), (20, 20.0), (30, 3.5),
    ]  # fmt: skip


def test_a_half_written_row_does_not_stop_a_run(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path, Objective(), 0)
    collect(log, [0.5], [1.0])
    log.write(10, optimizer())
    log.tensorboard.close()
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"step": 20, "lo')  # the process was killed here
    TrainingLog(tmp_path, Objective(), 10).tensorboard.close()
    assert [row["step"] for row in rows(tmp_path)] == [10]


def test_a_loss_that_is_not_finite_stays_readable(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path, Objective(), 0)
    collect(log, [0.5, 0.1], [float("nan"), 1.0], norm=float("inf"))
    log.write(10, optimizer())
    log.tensorboard.close()

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    line = (tmp_path / "metrics.jsonl").read_text()
    row = json.loads(line, parse_constant=refuse)
    assert row["loss"] is None and row["gradient_norm"] is None
    assert row["loss_by_bin"][:2] == [None, 1.0]


def test_skipped_steps_are_counted(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path, Objective(), 0)
    for step, skipped in ((1, 0), (2, 3)):
        collect(log, [0.5], [1.0])
        shown = log.write(step, optimizer(), skipped)
        assert shown.get("skipped") == (str(skipped) if skipped else None)
    log.tensorboard.close()
    assert [row.get("skipped_steps") for row in rows(tmp_path)] == [None, 3]


def test_means_of_named_scalars(tmp_path: Path) -> None:
    """Each over the steps that had it; a row of another checkpoint's future is taken back."""
    log = MeansLog(tmp_path, 0)
    log.collect({"l1": torch.tensor(1.0)}, 8)
    log.collect({"l1": torch.tensor(3.0), "generator": torch.tensor(-0.5)}, 8)
    assert log.write(2, optimizer(0.125)) == {"l1": 2.0, "generator": -0.5}
    log.collect({"l1": torch.tensor(float("nan"))}, 8)
    log.write(3, optimizer())
    log.tensorboard.close()
    first, second = rows(tmp_path)
    assert (first["step"], first["l1"], first["learning_rate"]) == (2, 2.0, 0.125)
    assert second["l1"] is None and "generator" not in second
    assert [(e.step, e.value) for e in scalars(tmp_path).Scalars("l1")] == [(2, 2.0)]
    MeansLog(tmp_path, 2).tensorboard.close()
    assert [row["step"] for row in rows(tmp_path)] == [2]
