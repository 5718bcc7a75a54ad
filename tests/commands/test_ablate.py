"""`facecond ablate`: dry run, bad input, and the report of finished runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from facecond.cli import main

STUDY = """
base: base.yaml
data: {root: DATA}
judges: {folders: [JUDGES]}
variants: {one: {}, two: {optim.ema_decay: 0.5}}
"""


@pytest.fixture
def study(tmp_path: Path, data: Path) -> Path:
    judges = tmp_path / "judges"
    for kind in ("parser", "attributes"):
        (judges / kind).mkdir(parents=True)
        (judges / kind / "config.json").write_text("{}")
    (tmp_path / "base.yaml").write_text(
        "train: {steps: 3, batch_size: 2}\n"
        "denoiser: {block_out_channels: [16, 16], attention_head_dim: 8, condition_dim: 8}"
    )
    path = tmp_path / "tiny.yaml"
    path.write_text(STUDY.replace("DATA", str(data)).replace("JUDGES", str(judges)))
    return path


def test_a_dry_run_lists_the_runs_and_writes_nothing(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["ablate", str(study), "--out", str(out), "--dry-run", "--seeds", "4", "7"]
    assert main([*words, "--only", "two"]) == 0
    printed = capsys.readouterr().out
    assert "1 variants, 2 runs of 3 steps: 2 missing" in printed and "missing: 4 7" in printed
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--only", "tow"], ["there is no variant 'tow'", "Did you mean 'two'?", "tiny.yaml"]),
        (["--seeds", "1", "1"], ["--seeds: a seed is given twice"]),
        (["--seeds", "-1"], ["--seeds"]),
        (["--workers", "0"], ["--workers"]),
        (["--num-gpus", "1"], ["--num-gpus: it is for Ray"]),
        (["--engine", "slurm"], ["--engine"]),
        (["--set", "train.stepz=3"], ["unknown key 'train.stepz'", "Did you mean 'steps'?"]),
        (["--set", "evaluate.probes=[adherance]"], ["Did you mean 'adherence'?"]),
        (["--set", "data.root=/nowhere"], ["/nowhere"]),
        (["--set", "judges.folders=[/nowhere]"], ["/nowhere/parser: holds no judge"]),
        (["--set", "first_stage.patch_size=7", "--engine", "rya"], ["--engine"]),
    ],
)
def test_bad_input_is_one_line(
    words: list[str], parts: list[str], study: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert main(["ablate", str(study), "--out", str(tmp_path / "out"), *words]) == 2
    said = capsys.readouterr().err
    assert said.startswith("facecond: error: ") and said.count("\n") == 1
    for part in parts:
        assert part in said
    assert not (tmp_path / "out" / "runs").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("base: base.yaml\nvariants: {a: {optim.emma_decay: 1}}", "Did you mean 'ema_decay'?"),
        ("base: base.yaml\nvariants: {a: {}, a: {train.steps: 4}}", "duplicate"),
        ("base: base.yaml\nvariantes: {a: {}}", "Did you mean 'variants'?"),
        ("- a list", "it holds no mapping"),
    ],
)
def test_a_faulty_study_is_one_line(
    text: str, message: str, study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study.write_text(text)
    assert main(["ablate", str(study)]) == 2
    said = capsys.readouterr().err
    assert "tiny.yaml" in said and message in said and said.count("\n") == 1


def test_an_unknown_study_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ablate", "no_such"]) == 2
    assert "there is no such config" in capsys.readouterr().err
