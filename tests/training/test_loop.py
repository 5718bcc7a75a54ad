"""The loop: it learns, and a run that was stopped ends exactly where an unbroken one does."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from facecond.config import RunConfig, load
from facecond.errors import UserError
from facecond.pipeline import load_pipeline
from facecond.storage import read_json, read_json_lines
from facecond.training import checkpoint, export, loop, steps
from facecond.training.loop import train
from facecond.training.session import Interrupted
from facecond.training.updates import Updates

Weights = Callable[[Path], dict[str, torch.Tensor]]

TINY = [
    "first_stage.latent_channels=6",
    "denoiser.block_out_channels=[16,32]",
    "denoiser.condition_dim=16",
    "train.batch_size=8",
    "train.log_every=2",
    "train.sample_every=0",
    "train.checkpoint_every_s=1000",
    "train.precision=fp32",
    "optim.warmup_steps=2",
]


def config(root: Path, *overrides: str) -> RunConfig:
    return load(RunConfig, "rendered_debug", [f"data.root={root}", *TINY, *overrides])


def assert_equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    for key in a:
        assert torch.equal(a[key], b[key]), key


def test_the_loss_falls(rendered_root: Path, tmp_path: Path) -> None:
    model = train(config(rendered_root, "train.steps=60"), tmp_path / "run")
    rows = read_json_lines(tmp_path / "run" / "metrics.jsonl")
    assert [row["step"] for row in rows] == list(range(2, 61, 2))
    first, last = (sum(r["loss"] for r in part) / 5 for part in (rows[:5], rows[-5:]))
    assert last < 0.9 * first
    assert (model / "model_index.json").is_file() and (model / "README.md").is_file()
    assert read_json(model / "provenance.json")["steps"] == 60


def with_kl(autoencoder: Path) -> list[str]:
    """An autoencoder whose latents have a distribution, and every kind of loss on it."""
    return [
        f"first_stage.autoencoder={autoencoder}",
        "first_stage.latent_channels=4",
        "data.sample_latents=true",
        "perceptual.weight=1",
    ]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kind", ["linear", "sampled"])
def test_resume_is_bit_identical(
    rendered_root: Path,
    kl_autoencoder: Path,
    tmp_path: Path,
    workers: int,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
    stop_at: Callable[[int], None],
    weights: Weights,
) -> None:
    # 58 faces in the generator's split at batch 8: step 5 is in mid-epoch, step 12 in the next one.
    more = with_kl(kl_autoencoder) if kind == "sampled" else []
    made = config(rendered_root, "train.steps=12", f"train.num_workers={workers}", *more)
    whole = train(made, tmp_path / "whole")
    stop_at(5)
    with pytest.raises(Interrupted):
        train(made, tmp_path / "broken")
    assert not (tmp_path / "broken" / "model").exists()
    monkeypatch.undo()
    resumed = train(made, tmp_path / "broken")
    assert_equal(weights(whole), weights(resumed))
    ends = [checkpoint.load_newest(tmp_path / run / "checkpoints") for run in ("whole", "broken")]
    for key in ("model", "ema", "optimizers"):
        assert str(ends[0][2][key]) == str(ends[1][2][key])


def test_the_perceptual_loss_is_added_and_told_apart(rendered_root: Path, tmp_path: Path) -> None:
    runs: dict[str, list[dict[str, Any]]] = {}
    for weight in ("0", "1", "1e-30"):
        made = config(rendered_root, "train.steps=12", f"perceptual.weight={weight}")
        train(made, tmp_path / weight)
        runs[weight] = read_json_lines(tmp_path / weight / "metrics.jsonl")
    assert not any("perceptual_loss" in row for row in runs["0"])
    assert all(row["perceptual_loss"] > 0 for row in runs["1"])
    losses = {weight: [row["loss"] for row in rows] for weight, rows in runs.items()}
    assert losses["1e-30"] == losses["0"]  # the loss told is the objective's own
    assert losses["1"][0] != losses["0"][0] and losses["1"][-1] != losses["0"][-1]
    assert runs["1"][-1]["perceptual_loss"] < runs["1"][0]["perceptual_loss"]


def test_a_damaged_checkpoint_falls_back(
    rendered_root: Path, tmp_path: Path, weights: Weights
) -> None:
    made = config(rendered_root, "train.steps=8", "train.checkpoint_every_s=0")
    whole = weights(train(made, tmp_path / "run"))
    newest = checkpoint.steps(tmp_path / "run" / "checkpoints")[-1]
    file = newest / "tensors.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert_equal(whole, weights(train(made, tmp_path / "run")))


def test_a_finished_run_keeps_its_last_checkpoint(rendered_root: Path, tmp_path: Path) -> None:
    made = config(rendered_root, "train.steps=3", "train.checkpoint_every_s=0")
    train(made, tmp_path / "run")
    newest = checkpoint.steps(tmp_path / "run" / "checkpoints")[-1]
    written = newest.stat().st_ino
    assert newest.name == "step-00000003"
    train(made, tmp_path / "run")
    assert newest.stat().st_ino == written


def test_kill_9_loses_nothing(rendered_root: Path, tmp_path: Path) -> None:
    made = ["train.steps=10", "train.checkpoint_every_s=0", *TINY[:-3], "train.precision=fp32"]
    command = [
        sys.executable, "-m", "facecond", "train", "rendered_debug", "--out", str(tmp_path / "run"),
        "--set", f"data.root={rendered_root}", *made,
    ]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not checkpoint.steps(tmp_path / "run" / "checkpoints") and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    assert process.wait() != 0
    found = checkpoint.load_newest(tmp_path / "run" / "checkpoints")
    assert found is not None and found[1] >= 1
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "model" / "model_index.json").is_file()


@pytest.mark.parametrize(("every", "left"), [("0", 2), ("1e6", 3)])
def test_a_signal_ends_at_once_where_all_is_saved(
    rendered_root: Path, tmp_path: Path, stop_at: Callable[[int], None], every: str, left: int
) -> None:
    """In the third step; a step that cost others before it is done and saved first."""
    made = config(rendered_root, "train.steps=9", f"train.checkpoint_every_s={every}")
    stop_at(3)
    with pytest.raises(Interrupted, match="SIGTERM"):
        train(made, tmp_path / "run")
    found = checkpoint.load_newest(tmp_path / "run" / "checkpoints")
    assert found is not None and found[1] == left


def test_a_signal_while_networks_are_compiled(
    rendered_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    weights: Weights,
) -> None:
    """A compiler that takes minutes and lets no ordinary exception through."""
    made = config(rendered_root, "train.steps=4", "train.compile=true")

    def compiler(model: torch.nn.Module) -> torch.nn.Module:
        def compiling(*_: Any) -> None:
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(20)
            except Exception:
                raise RuntimeError("the compiler is broken") from None

        model.register_forward_pre_hook(compiling)
        return model

    with monkeypatch.context() as patch:
        patch.setattr(loop.devices, "check_compiler", lambda *_: None)
        patch.setattr(torch, "compile", compiler)
        with pytest.raises(Interrupted, match="SIGTERM, nothing was done yet"):
            train(made, tmp_path / "run")
        assert checkpoint.load_newest(tmp_path / "run" / "checkpoints") is None  # no step was done
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        patch.setattr(torch, "compile", lambda model: model)
        resumed = train(made, tmp_path / "run")
        assert_equal(weights(resumed), weights(train(made, tmp_path / "whole")))


def test_a_signal_while_a_grid_is_sampled(
    rendered_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop_at: Callable[[int], None],
) -> None:
    """The rest of the grid is left out, and so is its picture; then the state is saved."""
    asked: list[int] = []
    write = export.SampleGrids.write

    def signalled(grids: Any, tensorboard: Any, model: Any, step: int, stops: Any) -> None:
        def noted() -> int:
            asked.append(step)
            if len(asked) == 2:
                os.kill(os.getpid(), signal.SIGTERM)
            return stops()

        write(grids, tensorboard, model, step, noted)

    monkeypatch.setattr(export.SampleGrids, "write", signalled)
    made = config(rendered_root, "train.steps=9", "sampling.steps=8", "train.sample_every=2")
    with pytest.raises(Interrupted):
        train(made, tmp_path / "run")
    assert asked == [2, 2]
    found = checkpoint.load_newest(tmp_path / "run" / "checkpoints")
    assert found is not None and found[1] == 3


def steady_clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Time as a training sees it: every step takes half a second."""
    now = [100.0]
    monkeypatch.setattr(steps.time, "monotonic", lambda: now[0])
    apply = Updates.apply

    def ticking(self: Updates, *given: Any) -> torch.Tensor:
        now[0] += 0.5
        return apply(self, *given)

    monkeypatch.setattr(Updates, "apply", ticking)
    return now


@pytest.mark.parametrize("stop", [None, 6, 17])
def test_a_run_with_a_budget_is_that_of_the_steps_it_recorded(
    rendered_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop_at: Callable[[int], None],
    stop: int | None,
    weights: Weights,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Also when it was interrupted, before the rate fell and while it fell."""
    now = steady_clock(monkeypatch)
    settings = ["optim.decay_share=0.5", "train.checkpoint_every_s=1e6"]
    made = config(rendered_root, "train.steps=0", "train.minutes=0.2", *settings)
    if stop is not None:
        stop_at(stop)
        with pytest.raises(Interrupted):
            train(made, tmp_path / "run")
        stop_at(0)
        now[0] += 1000  # a pause costs nothing
    budgeted = train(made, tmp_path / "run")
    said = read_json(budgeted / "provenance.json")
    assert (said["steps"], said["turns"]) == (24, [])
    assert "only 24 steps went into 0.2 minutes" in capsys.readouterr().out
    newest = checkpoint.load_newest(tmp_path / "run" / "checkpoints")
    assert newest is not None and newest[1] == 24
    told = train(config(rendered_root, "train.steps=24", *settings), tmp_path / "told")
    assert_equal(weights(budgeted), weights(told))


def test_gradient_accumulation_takes_as_many_pictures(rendered_root: Path, tmp_path: Path) -> None:
    made = config(rendered_root, "train.steps=3", "train.accumulation=2", "train.batch_size=4")
    train(made, tmp_path / "run")
    newest = checkpoint.load_newest(tmp_path / "run" / "checkpoints")
    assert newest is not None and newest[1] == 3


def test_another_config_or_data_is_refused(rendered_root: Path, tmp_path: Path) -> None:
    train(config(rendered_root, "train.steps=2"), tmp_path / "run")
    with pytest.raises(UserError, match="another config"):
        train(config(rendered_root, "train.steps=2", "objective.gamma=0.5"), tmp_path / "run")


def test_a_loss_that_stays_non_finite_ends_training(rendered_root: Path, tmp_path: Path) -> None:
    made = config(rendered_root, "train.steps=50", "optim.learning_rate=1e30",
                  "optim.adam_learning_rate=1e30")  # fmt: skip
    with pytest.raises(UserError, match=r"not finite.*the last with the faces \w+, \w+"):
        train(made, tmp_path / "run")


def test_no_length_is_an_error(rendered_root: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no length"):
        train(config(rendered_root, "train.steps=0", "train.minutes=0"), tmp_path / "run")


def test_starting_anew_does_not_leave_the_old_run_to_resume(
    rendered_root: Path, tmp_path: Path, weights: Weights
) -> None:
    train(config(rendered_root, "train.steps=6"), tmp_path / "run")
    other = config(rendered_root, "train.steps=3", "train.seed=1")
    first = weights(train(other, tmp_path / "run", resume="never"))
    assert [path.name for path in checkpoint.steps(tmp_path / "run" / "checkpoints")] == [
        "step-00000003"
    ]
    assert_equal(first, weights(train(other, tmp_path / "run")))


def test_what_does_not_touch_the_weights_may_change(rendered_root: Path, tmp_path: Path) -> None:
    train(config(rendered_root, "train.steps=2"), tmp_path / "run")
    train(config(rendered_root, "train.steps=2", "sampling.steps=3"), tmp_path / "run")


@pytest.mark.parametrize(
    ("override", "named"),
    [("sampling.scheduler=unipcc", "unipc"), ("sampling.guidance={masc: 2}", "mask")],
)
def test_a_fault_of_the_sampler_is_found_before_training(
    rendered_root: Path, tmp_path: Path, override: str, named: str
) -> None:
    with pytest.raises(UserError, match=f"Did you mean '{named}'"):
        train(config(rendered_root, "train.steps=2", override), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "overrides",
    [
        ["routing.preset=early_late", "dropout.layers=0.5"],
        ["routing.combine=joint", "routing.rules=[{source: mask, layers: '*', gate: learned}, "
         "{source: attributes, layers: 'stage:mid'}]"],
        ["routing.preset=split_attr", "train.accumulation=2"],
        ["routing.sources=[attributes]", "denoiser.mask_input=channels"],
        ["routing.sources=[]"],
    ],
    ids=["windows and dropped layers", "joint and learned", "parts", "channels", "none"],
)  # fmt: skip
def test_routings_train_resume_exactly_and_sample(
    rendered_root: Path, tmp_path: Path, overrides: list[str], weights: Weights
) -> None:
    made = config(rendered_root, "train.steps=6", *overrides)
    model = train(made, tmp_path / "run")
    whole = weights(model)
    # Back to the state after two steps: what follows must come out the same.
    short = config(rendered_root, "train.steps=6", "train.checkpoint_every_s=0", *overrides)
    short.train.keep_checkpoints = 6
    assert_equal(weights(train(short, tmp_path / "often")), whole)
    for step in sorted((tmp_path / "often" / "checkpoints").iterdir())[2:]:
        shutil.rmtree(step)
    assert_equal(weights(train(short, tmp_path / "often")), whole)
    pipeline = load_pipeline(model)
    faces = pipeline(seeds=[0, 1], num_inference_steps=2).images
    assert faces.shape == (2, 64, 64, 3)
    gammas = [key for key in whole if "gamma" in key]
    assert bool(gammas) == ("joint" in overrides[0])
    assert all(whole[key] != 0 for key in gammas)


def test_a_routing_file_that_changed_is_refused(rendered_root: Path, tmp_path: Path) -> None:
    file, moved = tmp_path / "mine.yaml", tmp_path / "moved.yaml"
    file.write_text("rules: [{source: mask, layers: '*'}]")
    made = config(rendered_root, "train.steps=2", f"routing.file={file}")
    train(made, tmp_path / "run")
    moved.write_text(file.read_text().replace("rules", "name: mine\nrules"))
    made.routing.file = str(moved)
    train(made, tmp_path / "run")  # the same rules from another place
    moved.write_text(moved.read_text().replace("'*'", "'stage:mid'"))
    with pytest.raises(UserError, match="another routing"):
        train(made, tmp_path / "run")
