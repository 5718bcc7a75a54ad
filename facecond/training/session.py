"""What every training does around its steps: go on from a checkpoint, keep to a time budget, heed
signals, average."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import Tensor, nn
from tqdm import tqdm

from facecond.errors import UserError
from facecond.training import checkpoint

CALIBRATION = (3, 23)
"""A run with a time budget measures its speed over these steps, then fixes its length."""
MAX_BAD_STEPS = 10
"""Steps in a row with a loss that is not finite before training gives up."""


class Interrupted(Exception):
    """Training stopped on a signal, with its state saved; `signum` tells which."""

    def __init__(self, signum: int) -> None:
        self.signum = signum
        super().__init__(f"stopped by {signal.Signals(signum).name}, state saved")


@contextlib.contextmanager
def signals_noted() -> Iterator[Callable[[], int]]:
    """Note SIGTERM and SIGINT instead of dying; yields a function that tells which came (or 0)."""
    noted = [0]

    def note(signum: int, frame: FrameType | None) -> None:
        noted[0] = signum
        signal.signal(signum, signal.SIG_DFL)  # a second one ends a step that hangs

    try:
        before = {s: signal.signal(s, note) for s in (signal.SIGTERM, signal.SIGINT)}
    except ValueError:  # not in the main thread: signals go elsewhere
        before = {}
    try:
        yield lambda: noted[0]
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def state_to_resume(out: Path, resume: str, main: bool) -> dict[str, Any] | None:
    """State of the checkpoint to go on from, if any."""
    if resume == "never":
        return None
    if resume != "auto":
        if not Path(resume).is_dir():
            raise UserError("there is no such checkpoint", resume, "Name a folder step-*.")
        return checkpoint.load(Path(resume))[1]
    found = checkpoint.load_newest(out / "checkpoints")
    if found is None:
        return None
    _, _, state, warnings = found
    for warning in warnings if main else []:
        tqdm.write(f"warning: {warning}")
    return state


def check_same(before: dict[str, Any], run: dict[str, Any], out: Path) -> None:
    """Raise `UserError` unless the run that is to go on has the same data and config."""
    kinds = {"data_hash": "data", "config_hash": "config", "routing_hash": "routing"}
    for key, what in kinds.items():
        if key in before and key in run and before[key] != run[key]:
            raise UserError(
                f"the run was begun with another {what}",
                out,
                "Use --resume never or another --out.",
            )


def load_model(model: nn.Module, weights: dict[str, Tensor], out: Path) -> None:
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip()
        raise UserError(
            f"the checkpoint is of another architecture ({reason})", out, "Use --resume never."
        ) from None


class Length:
    """Steps of a run: as told, or as many as fit into `minutes` at the speed of its first steps.

    Args:
        steps: 0 where the length is to be found.
        began_at: step that the run starts or goes on from.
        slower_from: step from which steps take longer; if the run gets there, its length is fixed
            anew at the speed after it. None where all steps are alike.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        steps: int,
        minutes: float,
        began_at: int,
        slower_from: int | None = None,
    ) -> None:
        self.accelerator, self.steps, self.seconds = accelerator, steps, minutes * 60
        self.began, self.started = began_at, time.monotonic()
        self.slower_from = slower_from if slower_from is None or slower_from > began_at else None

    def after(self, step: int) -> int:
        """To be called after each step by every process; the steps of the run, 0 while unknown."""
        if self.steps:
            return self.steps
        if step - self.began == CALIBRATION[0]:
            self.measured_from = time.monotonic()
        if step - self.began == CALIBRATION[1]:
            now = time.monotonic()
            pace = (now - self.measured_from) / (CALIBRATION[1] - CALIBRATION[0])
            budget = torch.tensor(step + max(1.0, (self.seconds - (now - self.started)) / pace))
            shared = self.accelerator.reduce(budget.to(self.accelerator.device), "mean")
            if self.slower_from is not None and int(shared) > self.slower_from:
                self.began, self.slower_from = self.slower_from, None
            else:
                self.steps = int(shared)
        return self.steps


def agreed(accelerator: Accelerator, *wishes: bool) -> list[bool]:
    """Which of these any process wishes: all processes get the same answer."""
    votes = torch.tensor([float(wish) for wish in wishes], device=accelerator.device)
    return (accelerator.reduce(votes, "sum") > 0).tolist()


def give_up_if_hopeless(bad_steps: int, step: int, out: Path) -> None:
    """Raise `UserError` when too many steps in a row had a loss that is not finite."""
    if bad_steps >= MAX_BAD_STEPS:
        raise UserError(
            f"the loss was not finite for {bad_steps} steps in a row (step {step})",
            out,
            "Start anew with a lower optim.learning_rate (--resume never).",
        )


@contextlib.contextmanager
def averaged(model: nn.Module, ema: EMAModel) -> Iterator[None]:
    """The averaged weights in place of the trained ones, in evaluation mode."""
    parameters = list(model.parameters())
    ema.store(parameters)
    ema.copy_to(parameters)
    model.eval()
    try:
        yield
    finally:
        ema.restore(parameters)
        model.train()


def leave_signals_to_parent(worker: int) -> None:
    """Ctrl-C reaches workers too; they must live until the parent has saved its state."""
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)
