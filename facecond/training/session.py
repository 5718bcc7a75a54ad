"""What every training does around its steps: begin or go on from a checkpoint, heed signals."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from torch import Tensor, nn
from tqdm import tqdm

from facecond import config as configs
from facecond.config import FirstStageRunConfig, RunConfig
from facecond.errors import UserError
from facecond.storage import check_folder_target, make_folder, read_json, write_json, write_text
from facecond.training import checkpoint, export


class Interrupted(Exception):
    """Training stopped on a signal, with its state saved, or before its first step was done, where
    there is none; `signum` tells which."""

    def __init__(self, signum: int, saved: bool = True) -> None:
        self.signum = signum
        told = "state saved" if saved else "nothing was done yet"
        super().__init__(f"stopped by {signal.Signals(signum).name}, {told}")


@contextlib.contextmanager
def signals_noted(at_once: Callable[[], bool] = lambda: False) -> Iterator[Callable[[], int]]:
    """Note SIGTERM and SIGINT instead of dying; yields a function that tells which came (or 0).

    Args:
        at_once: whether there is nothing to finish first: then the signal raises KeyboardInterrupt,
            which libraries let through.
    """
    noted = [0]

    def note(signum: int, frame: FrameType | None) -> None:
        first, noted[0] = not noted[0], signum
        signal.signal(signum, signal.SIG_DFL)  # a second one ends a step that hangs
        if first and at_once():
            raise KeyboardInterrupt

    try:
        before = {s: signal.signal(s, note) for s in (signal.SIGTERM, signal.SIGINT)}
    except ValueError:  # not in the main thread: signals go elsewhere
        before = {}
    try:
        yield lambda: noted[0]
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def open_run(
    config: RunConfig | FirstStageRunConfig, data_hash: str, out: Path, resume: str, main: bool
) -> tuple[dict[str, Any], dict[str, Any] | None, dict[str, Any] | None]:
    """What a run is made from, what is said of it already, and the state that it goes on from.

    Nothing is written.

    Args:
        out: run folder; it need not exist.
        resume: `auto`, `never`, or a checkpoint folder.
        main: whether this is the process that warns.

    Returns:
        What `run.json` is to say; what it (or the checkpoint) says of a run that goes on, None for
        a new one; the state of the checkpoint, None without one.

    Raises:
        UserError: the place cannot be written to, it holds a run of other data or another config,
            or no checkpoint is whole.
    """
    check_folder_target(out)
    run, before = export.provenance(config, data_hash), None
    if resume != "never" and (out / "run.json").is_file():
        before = read_json(out / "run.json")
        check_same(before, run, out)
    state = state_to_resume(out, resume, main)
    if state is not None:
        before = state["run"]
        check_same(state["run"], run, out)
    return run, before, state


def write_run(
    config: RunConfig | FirstStageRunConfig, run: dict[str, Any], out: Path, step: int
) -> None:
    """Make the run folder, with config and provenance; later checkpoints than `step` are removed.

    Called by the main process.
    """
    make_folder(out)
    checkpoint.discard_after(out / "checkpoints", step)
    write_text(out / "config.yaml", configs.dump(config))
    write_json(out / "run.json", run)


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
    """Raise `UserError` unless the run that is to go on has the same data, config, and weights of
    others."""
    kinds = {"data_hash": "data", "config_hash": "config"}
    late = {
        "routing_hash": "routing",
        "evidence_hash": "evidence encoder",
        "embedder_hash": "face embedding",
        "teacher_hash": "teacher",
    }
    for key, what in (kinds | late).items():
        if key in late and not (key in before and key in run):
            continue  # they are known once the network is built, after the first of two calls
        if before.get(key) != run[key]:
            raise UserError(
                f"the run was begun with another {what}",
                out,
                "Use --resume never or another --out.",
            )


def load_module(module: nn.Module, weights: dict[str, Tensor], out: Path) -> None:
    """Fill a module from a checkpoint; raises `UserError` where it is of another architecture."""
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip()
        raise UserError(
            f"the checkpoint is of another architecture ({reason})", out, "Use --resume never."
        ) from None


def leave_signals_to_parent(worker: int) -> None:
    """Ctrl-C reaches workers too; they must live until the parent has saved its state."""
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)
