"""`facecond train judge`: from a config to a judge on disk."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from facecond.cli import main
from facecond.data.render_set import render_prepared
from facecond.storage import read_json


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("faces") / "rendered"
    render_prepared(root, 40, 64, judges_fraction=0.8, workers=1)
    return root


def test_a_judge_is_trained_with_overrides(
    faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind, score in (("parser", "mask_miou"), ("attributes", "attribute_bacc")):
        out = tmp_path / kind
        words = ["train", "judge", kind, f"judge_{kind}_64", "--out", str(out), "--set"]
        settings = ["judge.steps=2", "judge.batch_size=4", "judge.width=8", "judge.seed=3"]
        assert main([*words, f"data.root={faces}", *settings]) == 0
        assert f"{score} " in capsys.readouterr().out
        saved = read_json(out / "scores.json")
        assert (saved["kind"], saved["steps"], saved["width"], saved["seed"]) == (kind, 2, 8, 3)
        assert saved["source"] == "rendered"
        assert (out / "config.json").is_file() and list(out.glob("*.safetensors"))


def test_a_dry_run_shows_the_run_and_writes_nothing(
    faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "judge"
    words = ["train", "judge", "parser", "judge_parser_64", "--out", str(out), "--dry-run"]
    assert main([*words, "--set", f"data.root={faces}", "judge.width=8"]) == 0
    shown = capsys.readouterr().out
    assert "width: 8" in shown and "parameters" in shown and "from 32 faces of 64 px" in shown
    halves = []
    for part in ("a", "b"):
        assert main([*words, "--set", f"data.root={faces}", f"data.part={part}"]) == 0
        told = re.search(r"small: .* from (\d+) faces", capsys.readouterr().out)
        assert told is not None
        halves.append(int(told[1]))
    assert sum(halves) == 32 and min(halves) > 0
    assert not out.exists()


def test_a_dry_run_needs_no_data_and_the_same_words_work_for_all_trainings(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for words in (
        ["judge", "parser", "judge_parser_64"],
        ["judge", "attributes", "judge_attributes_64"],
        ["first-stage", "first_stage_f4_64"],
        ["rendered_64"],
    ):
        assert main(["train", *words, "--dry-run"]) == 0
        shown = capsys.readouterr().out
        assert "assumed: data.root is not set" in shown and "parameters" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["parser", "judge_parser_64"], "data.root: no data is named"),
        (["parser", "judge_parser_64", "--set", "judge.widht=8"], "Did you mean 'width'"),
        (["parser", "judge_parser_64", "--set", "judge.backbone=resnet"], "judge.backbone"),
        (["hair", "judge_parser_64"], "invalid choice: 'hair'"),
    ],
)
def test_faults_are_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "judge", *words]) == 2
    shown = capsys.readouterr().err
    assert message in shown and len(shown.splitlines()) == 1


def test_a_size_that_the_networks_cannot_halve_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    render_prepared(tmp_path / "faces", 20, 68, judges_fraction=0.8, workers=1)
    words = ["train", "judge", "parser", "judge_parser_64", "--out", str(tmp_path / "judge")]
    for extra in ([], ["--dry-run"]):
        assert main([*words, *extra, "--set", f"data.root={tmp_path / 'faces'}"]) == 2
        assert "68 px, which is no multiple of 8" in capsys.readouterr().err
    assert not (tmp_path / "judge").exists()
