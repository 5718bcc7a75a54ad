"""A first stage that begins from a saved one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from facecond.config import FirstStageRunConfig, load
from facecond.errors import UserError
from facecond.models.first_stage import load_autoencoder
from facecond.storage import read_json
from facecond.training.first_stage import train_first_stage

TINY = [
    "autoencoder.block_out_channels=[8,8,8]",
    "autoencoder.latent_channels=4",
    "autoencoder.norm_num_groups=4",
    "autoencoder.layers_per_block=1",
    "autoencoder.mid_block_add_attention=true",
    "loss.perceptual=0",
    "loss.adversary=0",
    "optim.ema_decay=0",
    "train.minutes=0",
    "train.batch_size=4",
    "train.precision=fp32",
    "train.sample_every=0",
]


def config(root: Path, *overrides: str) -> FirstStageRunConfig:
    return load(FirstStageRunConfig, "first_stage_f4_64", [f"data.root={root}", *TINY, *overrides])


def test_it_begins_with_the_weights_of_the_source(
    rendered_root: Path, kl_autoencoder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """With a rate that moves nothing, what comes out is what went in."""
    still = ["train.steps=1", "optim.learning_rate=1e-12", "optim.adam_learning_rate=1e-12"]
    made = config(rendered_root, *still)
    model = train_first_stage(made, tmp_path / "run", init=str(kl_autoencoder))
    source = load_autoencoder(str(kl_autoencoder)).autoencoder.state_dict()
    trained = load_autoencoder(str(model)).autoencoder.state_dict()
    assert source.keys() == trained.keys()
    for name, tensor in source.items():
        torch.testing.assert_close(trained[name], tensor, rtol=0, atol=1e-6)
    assert f"{len(source)} tensors taken over" in "".join(capfd.readouterr())
    record = read_json(tmp_path / "run" / "run.json")["init"]
    assert record["path"] == str(kl_autoencoder)
    assert record["tensors"] == {"taken": len(source), "new": 0, "left_out": 0, "reshaped": 0}


def test_what_does_not_fit_is_reported_and_left_out(
    rendered_root: Path, kl_autoencoder: Path, tmp_path: Path
) -> None:
    made = config(rendered_root, "train.steps=1", "autoencoder.latent_channels=6")
    train_first_stage(made, tmp_path / "run", init=str(kl_autoencoder))
    counts = read_json(tmp_path / "run" / "run.json")["init"]["tensors"]
    assert counts["reshaped"] > 0 and counts["taken"] > counts["reshaped"]


def test_a_run_goes_on_without_its_source_and_not_from_another(
    rendered_root: Path, kl_autoencoder: Path, tmp_path: Path
) -> None:
    source, run = tmp_path / "source", tmp_path / "run"
    shutil.copytree(kl_autoencoder, source)
    made = config(rendered_root, "train.steps=2")
    train_first_stage(made, run, init=str(source))
    other = train_first_stage(made, tmp_path / "other")
    for path, what in ((other, "begun from another model"), (tmp_path / "no", "no autoencoder")):
        with pytest.raises(UserError, match=what):
            train_first_stage(made, run, init=str(path))
    with pytest.raises(UserError, match="begun without --init"):
        train_first_stage(made, tmp_path / "other", init=str(source))
    shutil.rmtree(source)
    before = read_json(run / "run.json")["init"]
    assert train_first_stage(made, run) == run / "model"
    assert read_json(run / "run.json")["init"] == before
    shutil.rmtree(run / "checkpoints")
    with pytest.raises(UserError, match="has no checkpoint yet"):
        train_first_stage(made, run)
