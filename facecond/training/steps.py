"""The steps of a run: batches, the clock, checkpoints, signals; the same for every training."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from facecond.config import FirstStageRunConfig, RunConfig
from facecond.data.dataset import IndexKeyedSampler
from facecond.errors import UserError
from facecond.training import checkpoint
from facecond.training.schedule import Schedule
from facecond.training.session import (
    Interrupted,
    leave_signals_to_parent,
    load_module,
    signals_noted,
)
from facecond.training.updates import Updates

FEW = 100
"""Steps below which no recipe has learned anything."""


class Steps:
    """Counts the steps of a run, and saves and stops it; a context manager around its loop.

        with Steps(...) as steps:
            while steps.remain:
                ...  # gradients of steps.count, updates.apply(...)
                steps.advance()
                ...  # report
                steps.save_or_stop()

    Args:
        out: run folder.
        run: what checkpoints say about the run.
        modules: name -> module whose weights a checkpoint keeps under that name.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        config: RunConfig | FirstStageRunConfig,
        out: Path,
        run: dict[str, Any],
        modules: dict[str, nn.Module],
        updates: Updates,
    ) -> None:
        self.accelerator, self.knobs, self.out, self.run = accelerator, config.train, out, run
        self.modules, self.updates = modules, updates
        optim = config.optim
        self.schedule = Schedule(
            self.knobs.steps, self.knobs.minutes, optim.warmup_steps, optim.decay_share
        )
        self.count = 0
        """Steps done: the number of the next one."""

    @property
    def batch(self) -> int:
        """Samples of one step."""
        return self.knobs.batch_size * self.accelerator.num_processes * self.knobs.accumulation

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from the state of a checkpoint.

        Raises:
            UserError: it is of another architecture, or of an older version.
        """
        for name, module in self.modules.items():
            if name not in state:
                raise UserError(
                    f"its checkpoint has no weights of the {name}: it is of an older version",
                    self.out,
                    "Use --resume never or another --out.",
                )
            load_module(module, state[name], self.out)
        self.updates.load_state_dict(state)
        self.count = state["step"]
        if "schedule" in state:  # older checkpoints have none
            self.schedule.load_state_dict(state["schedule"])

    def batches(
        self, dataset: Dataset[Any], collate: Callable[[list[Any]], Any] | None = None
    ) -> Iterator[Any]:
        """Batches without end from the next step on: a function of (seed, samples consumed)."""
        processes, place = self.accelerator.num_processes, self.accelerator.process_index
        size, seed = self.knobs.batch_size, self.knobs.seed
        length = len(dataset)  # type: ignore[arg-type]
        consumed = self.count * self.batch
        loader = DataLoader(
            dataset,
            batch_sampler=IndexKeyedSampler(length, size, seed, consumed, place, processes),
            collate_fn=collate,
            num_workers=self.knobs.num_workers,
            pin_memory=self.accelerator.device.type == "cuda",
            worker_init_fn=leave_signals_to_parent,
        )
        return iter(loader)

    def __enter__(self) -> Steps:
        main, steps = self.accelerator.is_main_process, self.schedule.steps
        self._saved = -1
        with ExitStack() as stack:
            self.signalled = stack.enter_context(signals_noted(self._has_saved_all))
            self.bar = stack.enter_context(
                tqdm(total=steps or None, initial=self.count, desc="train", unit="step",
                     disable=not main)
            )  # fmt: skip
            self._stack = stack.pop_all()
        self._saved, self._saved_at = self.count, time.monotonic()
        self._began = self._saved_at - self.schedule.seconds
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._saved = -1  # nothing is raised from here on
        self._stack.__exit__(kind, error, trace)
        if kind is KeyboardInterrupt and self.signalled():
            raise Interrupted(self.signalled(), saved=self.count > 0) from None

    def _has_saved_all(self) -> bool:
        """Whether the step at work is all that a stop would cost: it may last, while networks are
        compiled. (Several processes stop together, after a step.)"""
        return self.count == self._saved and self.accelerator.num_processes == 1

    @property
    def remain(self) -> bool:
        """Whether there is a step to do."""
        return self.schedule.steps == 0 or self.count < self.schedule.steps

    @property
    def rate_factor(self) -> float:
        """Factor on the learning rates of the next step."""
        return self.schedule.factor(self.count)

    def advance(self) -> None:
        """Count a step as done and have all processes agree on what comes next."""
        self.count += 1
        now, main = time.monotonic(), self.accelerator.is_main_process
        due = main and now - self._saved_at > self.knobs.checkpoint_every_s
        told = (self.signalled() > 0, due, now - self._began if main else 0.0)
        stops, saves, seconds = total(self.accelerator, *told)
        self._stop, self._save = stops > 0, saves > 0
        self.bar.total = self.schedule.advance(self.count, seconds) or None
        self.bar.update()

    def is_due(self, every: int) -> bool:
        """Whether something done every so many steps, and after the last, is to be done now."""
        return self.count % every == 0 or not self.remain

    def save_or_stop(self) -> None:
        """Save where it is time to; stop where a signal asks for it.

        Raises:
            Interrupted: on a signal to any process, the state being saved.
        """
        if self._stop or self._save:
            self.save()
            self._saved, self._saved_at = self.count, time.monotonic()
        if self._stop:
            raise Interrupted(self.signalled() or signal.SIGTERM)

    def save(self) -> None:
        """Write a checkpoint."""
        self.accelerator.wait_for_everyone()
        if not self.accelerator.is_main_process:
            return
        folder = self.out / "checkpoints"
        if checkpoint.folder_of(folder, self.count).is_dir():
            # The last step was saved when it was done, or by the run that goes on here: to put the
            # same state in its place would leave, for a moment, neither.
            return
        state = {
            "run": self.run,
            "step": self.count,
            "schedule": self.schedule.state_dict(),
            **{name: module.state_dict() for name, module in self.modules.items()},
            **self.updates.state_dict(),
        }
        checkpoint.save(folder, self.count, state, self.knobs.keep_checkpoints)

    def finish(self) -> None:
        """Save the last state, and say where a time budget held hardly any steps."""
        self.save()
        if self.schedule.budget and self.count < FEW and self.accelerator.is_main_process:
            tqdm.write(
                f"warning: only {self.count} steps went into {self.knobs.minutes:g} minutes, so "
                "the model is hardly trained: free the machine, or raise train.minutes"
            )

    def record(self) -> dict[str, Any]:
        """What a finished run says about itself; `turns` as in `Schedule`."""
        schedule = {"steps": self.schedule.steps, "turns": self.schedule.turns}
        return {**self.run, **schedule, "batch": self.batch}


def total(accelerator: Accelerator, *values: float) -> list[float]:
    """Sums over the processes: all of them get the same answer."""
    mine = torch.tensor(values, dtype=torch.float64, device=accelerator.device)
    return accelerator.reduce(mine, "sum").tolist()
