"""`facecond train first-stage`: from a config to a first stage on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from facecond.cli import main
from facecond.storage import read_json

NAME = "first_stage_f4_64"
TINY = [
    "autoencoder.block_out_channels=[8,8,16]", "train.minutes=0", "train.steps=2",
    "train.batch_size=4", "train.sample_every=0",
]  # fmt: skip


def test_a_first_stage_is_trained(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "first-stage", NAME, "--out", str(tmp_path / "run")]
    assert main([*words, "--set", f"data.root={data}", *TINY]) == 0
    model = tmp_path / "run" / "model"
    assert f"facecond evaluate first-stage {model} --data" in capsys.readouterr().out
    assert read_json(model / "config.json")["_class_name"] == "FirstStage"
    for name in ("config.yaml", "run.json", "metrics.jsonl", "checkpoints", "tensorboard"):
        assert (tmp_path / "run" / name).exists(), name
    assert not [p for p in model.rglob("*") if p.suffix in (".bin", ".pt", ".pkl", ".pth")]


def test_a_dry_run_trains_nothing(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "first-stage", NAME, "--dry-run", "--out", str(tmp_path / "run")]
    assert main([*words, "--set", f"data.root={data}", "loss.kl=1e-5"]) == 0
    printed = capsys.readouterr().out
    for part in ("kl: 1.0e-05", "64 px", "latents", "parameters", "activations"):
        assert part in printed
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["first_stage_f44"], "Did you mean 'first_stage_f4"),
        ([NAME], "data.root"),
        ([NAME, "--set", "loss.adversery=1"], "Did you mean 'adversary'"),
        ([NAME, "--set", "loss.perceptual_net=vvg"], "loss.perceptual_net"),
        ([NAME, "--set", "loss.kl=.nan"], "loss.kl"),
        ([NAME, "--set", "denoiser.mask_grid=8"], "unknown key 'denoiser"),
        (["rendered_64"], "unknown key"),
    ],
)
def test_faults_of_the_config_are_one_line(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "first-stage", words[0], "--out", str(tmp_path / "r"), *words[1:]]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("facecond: error:") and message in line


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("autoencoder.block_out_channels=[8,8,8,8,8,8,8,8]", "64 px pictures cannot be divided"),
        ("discriminator.width=9", "width 9 is no multiple of 8"),
        ("loss.perceptual_trunk=gone.safetensors", "gone.safetensors: there is no such file"),
    ],
)
def test_faults_with_the_data_are_one_line_and_leave_nothing(
    data: Path, setting: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "first-stage", NAME, "--out", str(tmp_path / "run"), "--set"]
    assert main([*words, f"data.root={data}", "loss.perceptual=1", setting]) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "run").exists()


def test_a_source_that_is_not_there_leaves_nothing(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "first-stage", NAME, "--out", str(tmp_path / "run"), "--init", "./nowhere"]
    assert main([*words, "--set", f"data.root={data}", "train.steps=1"]) == 2
    assert "no autoencoder found" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
