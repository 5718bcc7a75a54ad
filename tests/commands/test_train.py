"""`facecond train`: dry run, exit codes, bad input."""

from __future__ import annotations

from pathlib import Path

import pytest

from facecond.cli import main
from facecond.data.prepared import PreparedFolder
from facecond.storage import read_json
from facecond.training import loop

TINY = [
    "train.steps=4", "train.batch_size=8", "train.sample_every=0", "sampling.steps=2",
    "first_stage.latent_channels=6", "denoiser.block_out_channels=[16,32]",
    "denoiser.condition_dim=16",
]  # fmt: skip


def test_dry_run_prints_the_resolved_run_and_trains_nothing(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    words = ["train", "rendered_64", "--dry-run", "--out", str(out), "--set", f"data.root={data}"]
    assert main([*words, "objective.gamma=0.5"]) == 0
    printed = capsys.readouterr().out
    for part in ("gamma: 0.5", "parameters", "memory", "64 px", "routing 'all_all'", "mid_block"):
        assert part in printed
    assert not out.exists()


def test_dry_run_tells_what_would_be_taken_over(
    data: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "rendered_debug", "--dry-run", "--init", str(model.parent)]
    assert main([*words, "--set", f"data.root={data}", *TINY, "routing.preset=coarse_fine"]) == 0
    printed = capsys.readouterr().out
    assert f"init        {model}: " in printed and "tensors taken over" in printed
    assert "left out, not in this model: unet." in printed


def test_a_model_is_fine_tuned(data: Path, model: Path, tmp_path: Path) -> None:
    words = ["train", "rendered_debug", "--out", str(tmp_path), "--init", str(model)]
    assert main([*words, "--set", f"data.root={data}", *TINY, "train.steps=1"]) == 0
    assert read_json(tmp_path / "model" / "provenance.json")["init"]["path"] == str(model)


def test_the_run_folder_holds_config_provenance_and_model(model: Path) -> None:
    run = model.parent
    for name in ("config.yaml", "run.json", "metrics.jsonl", "checkpoints", "tensorboard"):
        assert (run / name).exists(), name
    assert not [path for path in model.rglob("*") if path.suffix in (".bin", ".pt", ".pkl")]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rendered_46"], "Did you mean 'rendered_64.yaml'"),
        (["rendered_64"], "data.root"),
        (["rendered_64", "--set", "data.root=/nowhere"], "/nowhere"),
        (["rendered_64", "--set", "train.stepz=3"], "Did you mean 'steps'"),
        (["rendered_64", "--set", "train.steps=many"], "train.steps"),
        (["rendered_64", "--dry-run", "--set", "routing.preset=corse_fine"], "coarse_fine"),
        (["rendered_64", "--dry-run", "--set", "objective.prediction=epsilon"], "epsilon"),
        (["rendered_64", "--dry-run", "--set", "denoiser.mask_grid=7"], "mask_grid"),
        (["rendered_64", "--dry-run", "--init", "/nowhere"], "there is no model"),
        (["rendered_64", "--dry-run", "--set", "perceptual.per=chanel"], "perceptual.per"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", words[0], "--out", str(tmp_path / "run"), *words[1:]]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("facecond: error:") and message in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "denoiser.mask_grid=7"], "mask_grid"),
        (["--set", "first_stage.patch_size=7"], "do not fit 64 px"),
        (["--set", "first_stage.autoencoder=/nowhere"], "/nowhere"),
        (["--set", "data.sample_latents=true"], "data.sample_latents"),
        (["--set", "train.minutes=0"], "no length"),
        (["--init", "/nowhere"], "there is no model"),
        (["--resume", "/nowhere"], "there is no such checkpoint"),
    ],
)
def test_a_fault_beside_good_data_leaves_nothing_behind(
    data: Path, words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["train", "rendered_64", "--out", str(tmp_path / "runs" / "one")]
    assert main([*common, "--set", f"data.root={data}", *words]) == 2
    assert message in capsys.readouterr().err.strip().splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("missing", "note", "judge_without", "judge_with"),
    [
        ("masks", "has a mask", "parser", "attributes"),
        ("attributes.csv", "has attributes", "attributes", "parser"),
    ],
)
def test_training_on_masks_or_attributes_alone(
    missing: str,
    note: str,
    judge_without: str,
    judge_with: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    raw, data, run = tmp_path / "raw", tmp_path / "data", tmp_path / "run"
    words = ["data", "render", "--layout", "folder", "--count", "40", "--size", "64"]
    assert main([*words, "--out", str(raw), "--workers", "1"]) == 0
    (raw / missing).rename(tmp_path / "put aside")
    words = ["data", "prepare", "folder", "--root", str(raw), "--size", "64", "--workers", "1"]
    assert main([*words, "--out", str(data), "--judges-fraction", "0.5"]) == 0
    assert f"note: no face {note}" in capsys.readouterr().err
    folder = PreparedFolder.open(data)
    assert folder.has_mask.all() == (missing != "masks")

    words = ["train", "rendered_debug", "--out", str(run), "--set", f"data.root={data}"]
    assert main([*words, *TINY]) == 0
    assert f"note: no face of the training split {note}" in capsys.readouterr().out
    assert (run / "model" / "model_index.json").is_file()

    def judge(kind: str) -> int:
        words = ["train", "judge", kind, f"judge_{kind}_64", "--out", str(tmp_path / kind)]
        options = [f"data.root={data}", "judge.steps=2", "judge.batch_size=4", "judge.width=8"]
        return main([*words, "--set", *options])

    assert judge(judge_without) == 2
    truth = "masks" if judge_without == "parser" else "attributes"
    assert f"only 0 faces of the judges' split have {truth}" in capsys.readouterr().err
    assert not (tmp_path / judge_without).exists()
    assert judge(judge_with) == 0


def test_memory_that_runs_out_names_what_helps(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def greedy(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(loop, "train", greedy)
    words = ["train", "rendered_debug", "--out", str(tmp_path / "run")]
    assert main([*words, "--set", f"data.root={data}", *TINY]) == 2
    told = capsys.readouterr().err
    assert "the memory ran out" in told and "train.batch_size=HALF" in told
