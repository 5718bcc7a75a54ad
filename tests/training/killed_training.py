"""Short trainings killed at random moments, and what each kill left; `test_kills.py` starts it.

    python killed_training.py DATA OUT KILLS

Every training is a fork of this process: torch is loaded already, and as nothing is computed here,
it inherits no threads. A run is killed and resumed until it ends, then the next one begins; each
has to end with the weights of a run that nobody disturbed. Prints counts as JSON.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file

from facecond.config import RunConfig, load
from facecond.storage import read_json_lines
from facecond.training import checkpoint
from facecond.training.loop import train

STEPS, KEEP = 12, 2
SETTINGS = [
    f"train.steps={STEPS}", "train.minutes=0", "train.batch_size=8", "train.precision=fp32",
    "train.checkpoint_every_s=0",  # the interval is one step
    "train.log_every=1", "train.sample_every=0", f"train.keep_checkpoints={KEEP}",
    "first_stage.latent_channels=6", "denoiser.block_out_channels=[16,32]",
    "denoiser.condition_dim=16", "optim.warmup_steps=2",
]  # fmt: skip
PATIENCE_S = 3600
AIMED, LAG_S = 4, 0.02
"""Every so many kills, one waits until something is being written, and at most so long then."""
COUNTED = (
    "runs", "kills", "before the first checkpoint", "during a save", "during the export",
    "steps lost in all", "steps lost at most",
)  # fmt: skip


def begin(data: Path, out: Path) -> int:
    """A training into the run folder `out`, as a process; returns its number."""
    child = os.fork()
    if child:
        return child
    code = 1
    with open(out.parent / "children.log", "a") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        try:
            train(load(RunConfig, "rendered_debug", [f"data.root={data}", *SETTINGS]), out)
            (out.parent / "modules.txt").write_text("\n".join(sys.modules))
            code = 0
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
    os._exit(code)


def ended(
    child: int, seconds: float, aim: Callable[[], object] = lambda: True, lag: float = 0.0
) -> bool:
    """Let a training run so long, then until `aim` says yes and `lag` seconds more, and kill it;
    whether it had ended before."""
    until = time.monotonic() + seconds
    while time.monotonic() < until or not aim():
        number, status = os.waitpid(child, os.WNOHANG)
        if number:
            assert status == 0, f"the training failed: {status}"
            return True
        time.sleep(0.001)
    time.sleep(lag)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL), f"the training failed: {status}"
    return status == 0


def weights(model: Path) -> dict[str, torch.Tensor]:
    """All weights in a model folder, by file and name."""
    files = sorted(model.rglob("*.safetensors"))
    return {
        f"{file.name} {key}": tensor for file in files for key, tensor in load_file(file).items()
    }


def assert_undisturbed(model: Path, whole: dict[str, torch.Tensor]) -> None:
    found = weights(model)
    assert found.keys() == whole.keys()
    for key, tensor in found.items():
        assert torch.equal(tensor, whole[key]), f"{model}: {key} differs"


def unfinished(run: Path) -> set[Path]:
    """What was being written: names that begin with a dot."""
    return {*run.glob(".*"), *run.glob("checkpoints/.*")}


def writing(run: Path, before: set[Path]) -> bool:
    """Whether something new is being written."""
    return bool(unfinished(run) - before)


def examine(run: Path, newest: int, before: set[Path], counts: Counter[str]) -> int:
    """Check what a kill left and count where it struck; returns the step to go on from.

    Args:
        newest: step that was on disk before.
        before: what stood unfinished before.
    """
    folder = run / "checkpoints"
    left = [checkpoint.load(path) for path in checkpoint.steps(folder)]  # every one is whole
    assert len(left) >= min(newest, KEEP)
    found = checkpoint.load_newest(folder)
    step = 0 if found is None else found[1]
    assert step >= newest, f"step {newest} was on disk, {step} is left"
    rows = read_json_lines(run / "metrics.jsonl") if (run / "metrics.jsonl").is_file() else []
    lost = max(0, (rows[-1]["step"] if rows else 0) - step)
    assert lost <= 1, f"{lost} steps are lost"
    names = {path.name for path in unfinished(run) - before}
    saving = len(left) > KEEP or any(name.startswith(".step-") for name in names)
    counts["kills"] += 1
    counts["before the first checkpoint"] += step == 0
    counts["during a save"] += saving
    counts["during the export"] += any(name.startswith(".model.") for name in names)
    counts["steps lost in all"] += lost
    counts["steps lost at most"] = max(counts["steps lost at most"], lost)
    return step


def main(data: Path, out: Path, kills: int) -> None:
    out.mkdir(parents=True)
    assert ended(begin(data, out / "first"), PATIENCE_S)
    for name in (out / "modules.txt").read_text().split():
        with contextlib.suppress(ImportError):  # names that libraries made up
            importlib.import_module(name)
    began = time.monotonic()
    assert ended(begin(data, out / "whole"), PATIENCE_S)
    length = time.monotonic() - began
    whole = weights(out / "whole" / "model")
    assert_undisturbed(out / "first" / "model", whole)
    moments, counts = random.Random(0), Counter[str](dict.fromkeys(COUNTED, 0))
    while counts["kills"] < kills:
        counts["runs"] += 1
        run, newest = out / f"run-{counts['runs']}", 0
        while True:
            before = unfinished(run)
            child, seconds = begin(data, run), moments.uniform(0, length / 2)
            if counts["kills"] >= kills:
                over = ended(child, PATIENCE_S)
            elif counts["kills"] % AIMED:
                over = ended(child, seconds)
            else:
                lag = moments.uniform(0, LAG_S)
                over = ended(child, seconds, partial(writing, run, before), lag)
            if over:
                length *= 0.8  # others may leave the machine or load it: still strike within runs
                break
            step = examine(run, newest, before, counts)
            length *= 1.1 if step == newest else 1.0
            newest = step
            if (run / "model").is_dir():  # it appears whole or not at all
                assert_undisturbed(run / "model", whole)
        assert_undisturbed(run / "model", whole)
    print(json.dumps(counts))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
