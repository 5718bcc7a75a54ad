"""The loop of the first stage: it learns, resumes exactly, and leaves a first stage behind."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from facecond.config import FirstStageRunConfig, RunConfig, load
from facecond.data.fit_images import FitImages
from facecond.data.prepared import PreparedFolder
from facecond.errors import UserError
from facecond.models import first_stage as first_stages
from facecond.models.kl_autoencoder import build_kl_autoencoder
from facecond.storage import read_json, read_json_lines
from facecond.training import checkpoint, setup, steps
from facecond.training.first_stage import train_first_stage
from facecond.training.first_stage_loss import AutoencoderLoss
from facecond.training.first_stage_plan import discriminator_for
from facecond.training.session import Interrupted

TINY = [
    "autoencoder.block_out_channels=[8,8,16]",
    "autoencoder.norm_num_groups=4",
    "autoencoder.latent_channels=6",
    "autoencoder.layers_per_block=1",
    "autoencoder.mid_block_add_attention=false",
    "discriminator.width=8",
    "discriminator.layers=2",
    "optim.warmup_steps=2",
    "train.batch_size=8",
    "train.log_every=2",
    "train.sample_every=0",
    "train.checkpoint_every_s=1000",
    "train.precision=fp32",
    "train.minutes=0",
]
ADVERSARIAL = ["loss.adversary=0.5", "loss.adversary_start=4"]


def config(root: Path, *overrides: str) -> FirstStageRunConfig:
    return load(FirstStageRunConfig, "first_stage_f4_64", [f"data.root={root}", *TINY, *overrides])


def weights(model: Path) -> dict[str, torch.Tensor]:
    return load_file(model / "diffusion_pytorch_model.safetensors")


def assert_equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    for key in a:
        assert torch.equal(a[key], b[key]), key


def newest(run: Path) -> dict[str, Any]:
    found = checkpoint.load_newest(run / "checkpoints")
    assert found is not None
    return found[2]


def test_it_learns_rendered_faces(rendered_root: Path, tmp_path: Path) -> None:
    made = config(rendered_root, "train.steps=60", "train.sample_every=60")
    model = train_first_stage(made, tmp_path / "run")
    rows = read_json_lines(tmp_path / "run" / "metrics.jsonl")
    assert [row["step"] for row in rows] == list(range(2, 61, 2))
    first, last = (sum(row["l1"] for row in part) / 3 for part in (rows[:3], rows[-3:]))
    assert last < 0.5 * first
    assert {"loss", "kl", "gradient_norm", "learning_rate", "images_per_second"} <= set(rows[0])
    assert not {"discriminator", "random_alex", "lpips_alex"} & set(rows[0])
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    assert events.Tags()["images"] == ["picture | reconstruction"]
    assert [event.step for event in events.Scalars("l1")] == [row["step"] for row in rows]
    said = read_json(model / "provenance.json")
    assert (said["steps"], said["batch"], said["perceptual"]) == (60, 8, "none")
    assert "f4" in (model / "README.md").read_text("utf-8")


def test_the_averaged_weights_are_saved_with_a_scale_that_fits(
    rendered_root: Path, tmp_path: Path
) -> None:
    model = train_first_stage(config(rendered_root, "train.steps=6"), tmp_path / "run")
    state = newest(tmp_path / "run")
    saved, averages = weights(model), state["ema"]["shadow_params"]
    for (name, trained), average in zip(state["model"].items(), averages, strict=True):
        assert torch.equal(saved[name], average), name
        assert name.endswith("norm.bias") or not torch.equal(trained, average)
    stage = first_stages.load(model)
    images = torch.cat(list(FitImages(PreparedFolder.open(rendered_root))))
    with torch.no_grad():
        raw, latents = stage.raw_latents(images), stage.encode(images)
    assert latents.mean((0, 2, 3)).abs().max() < 1e-4
    assert (latents.std((0, 2, 3), correction=0) - 1).abs().max() < 1e-4
    # What diffusers calls the scaling factor is that of these latents, and not 0.18215.
    assert stage.config.autoencoder_config["scaling_factor"] == pytest.approx(
        1 / float(raw.std(correction=0)), rel=1e-4
    )


@pytest.mark.parametrize("stop", [3, 7])
def test_resume_is_bit_identical(
    rendered_root: Path,
    tmp_path: Path,
    stop: int,
    monkeypatch: pytest.MonkeyPatch,
    stop_at: Callable[[int], None],
) -> None:
    """Stopped before the adversary begins, and while it trains; 58 faces at batch 8."""
    made = config(rendered_root, "train.steps=10", *ADVERSARIAL)
    whole = train_first_stage(made, tmp_path / "whole")
    stop_at(stop)
    with pytest.raises(Interrupted):
        train_first_stage(made, tmp_path / "broken")
    assert not (tmp_path / "broken" / "model").exists()
    monkeypatch.undo()
    assert_equal(weights(whole), weights(train_first_stage(made, tmp_path / "broken")))
    ends = [newest(tmp_path / run) for run in ("whole", "broken")]
    for key in ("model", "discriminator", "ema", "optimizers"):
        assert str(ends[0][key]) == str(ends[1][key])
    fresh, trained = discriminator_for(made).state_dict(), ends[0]["discriminator"]
    assert all(not torch.equal(fresh[key], trained[key]) for key in fresh if "weight" in key)


def test_kill_9_between_checkpoints_loses_nothing(rendered_root: Path, tmp_path: Path) -> None:
    settings = ["train.steps=12", "train.checkpoint_every_s=0", *ADVERSARIAL]
    command = [
        sys.executable, "-m", "facecond", "train", "first-stage", "first_stage_f4_64",
        "--out", str(tmp_path / "run"), "--set", f"data.root={rendered_root}", *TINY, *settings,
    ]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 180
    while not checkpoint.steps(tmp_path / "run" / "checkpoints") and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    assert process.wait() != 0
    assert newest(tmp_path / "run")["step"] >= 1
    made = config(rendered_root, *settings)
    resumed = train_first_stage(made, tmp_path / "run")
    assert_equal(weights(resumed), weights(train_first_stage(made, tmp_path / "whole")))


def test_the_adversary_is_heard_from_its_step_on(rendered_root: Path, tmp_path: Path) -> None:
    made = config(rendered_root, "train.steps=6", "train.log_every=1", *ADVERSARIAL)
    train_first_stage(made, tmp_path / "run")
    rows = read_json_lines(tmp_path / "run" / "metrics.jsonl")
    names = {"discriminator", "generator", "adaptive_weight"}
    assert [bool(names & set(row)) for row in rows] == [False] * 4 + [True] * 2
    assert all(names <= set(row) for row in rows[4:])
    # An untrained discriminator gives logits near 0, where the hinge is 1.
    assert rows[4]["discriminator"] == pytest.approx(1.0, abs=0.3)
    assert all(math.isfinite(row["adaptive_weight"]) for row in rows[4:])


def test_a_random_trunk_is_logged_under_its_own_name(rendered_root: Path, tmp_path: Path) -> None:
    made = config(
        rendered_root, "train.steps=2", "loss.perceptual=1", "loss.perceptual_trunk=random"
    )
    model = train_first_stage(made, tmp_path / "run")
    (row,) = read_json_lines(tmp_path / "run" / "metrics.jsonl")
    assert row["random_alex"] > 0 and row["loss"] > row["l1"]
    for text in ((model / "README.md").read_text("utf-8"), str(row)):
        assert "lpips" not in text.lower()


def test_a_budget_is_kept_where_the_adversary_makes_steps_slow(
    rendered_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock by which steps with the adversary take four times as long."""
    now = [100.0]
    monkeypatch.setattr(steps.time, "monotonic", lambda: now[0])
    is_adversarial = AutoencoderLoss.is_adversarial

    def ticking(self: AutoencoderLoss, step: int) -> bool:
        now[0] += 2.0 if is_adversarial(self, step) else 0.5
        return is_adversarial(self, step)

    monkeypatch.setattr(AutoencoderLoss, "is_adversarial", ticking)
    made = config(rendered_root, "train.minutes=0.75", "train.batch_size=2", "train.log_every=1",
                  "loss.adversary=0.5", "loss.adversary_start=30", "optim.decay_share=0.7",
                  "train.checkpoint_every_s=1e6")  # fmt: skip
    model = train_first_stage(made, tmp_path / "run")
    said = read_json(model / "provenance.json")
    assert now[0] - 100 == pytest.approx(45, abs=2.0)  # a step
    assert said["steps"] == pytest.approx(30 + 30 / 2.0, abs=1) and said["turns"]
    rows = read_json_lines(tmp_path / "run" / "metrics.jsonl")
    rates = [row["learning_rate"] / 2e-2 for row in rows]
    # Eleven slow steps are left when they are noticed, to fall from 0.9: no step takes it all.
    assert max(a - b for a, b in itertools.pairwise(rates[9:])) < 0.12
    assert rates[-1] < 0.12


def test_accumulation_takes_as_many_pictures(rendered_root: Path, tmp_path: Path) -> None:
    made = config(rendered_root, "train.steps=2", "train.accumulation=2", "train.batch_size=4")
    model = train_first_stage(made, tmp_path / "run")
    assert read_json(model / "provenance.json")["batch"] == 8
    assert newest(tmp_path / "run")["step"] == 2


def test_another_config_is_refused(rendered_root: Path, tmp_path: Path) -> None:
    train_first_stage(config(rendered_root, "train.steps=1"), tmp_path / "run")
    with pytest.raises(UserError, match="another config"):
        train_first_stage(config(rendered_root, "train.steps=1", "loss.kl=1"), tmp_path / "run")


def test_a_loss_that_stays_non_finite_ends_training(rendered_root: Path, tmp_path: Path) -> None:
    made = config(rendered_root, "train.steps=50", "optim.learning_rate=1e30",
                  "optim.adam_learning_rate=1e30")  # fmt: skip
    with pytest.raises(UserError, match="not finite"):
        train_first_stage(made, tmp_path / "run")
    assert not (tmp_path / "run" / "model").exists()


def test_a_denoiser_takes_the_folder_as_its_autoencoder(
    rendered_root: Path, tmp_path: Path
) -> None:
    model = train_first_stage(config(rendered_root, "train.steps=2"), tmp_path / "run")
    made = RunConfig()
    made.data.root, made.first_stage.autoencoder = str(rendered_root), str(model)
    made.first_stage.latent_channels = 6
    folder = setup.open_data(made)
    stage = setup.first_stage_for(made, folder, tmp_path / "stage")
    assert_equal(stage.state_dict(), first_stages.load(model).state_dict())
    cache = setup.latent_cache_for(made, folder, stage, tmp_path / "stage", tmp_path / "latents")
    assert cache[0, 0]["latents"].shape == (6, 16, 16)


def test_what_is_saved_is_a_plain_autoencoder_of_diffusers(
    rendered_root: Path, tmp_path: Path
) -> None:
    model = train_first_stage(config(rendered_root, "train.steps=1"), tmp_path / "run")
    stage = first_stages.load(model)
    stage.autoencoder.save_pretrained(tmp_path / "plain")
    again = first_stages.load_autoencoder(str(tmp_path / "plain"))
    assert_equal(again.state_dict(), stage.state_dict())
    fresh = build_kl_autoencoder(64, (8, 8, 16), 1, 6, 4, False)
    assert set(fresh.state_dict()) == set(stage.autoencoder.state_dict())
