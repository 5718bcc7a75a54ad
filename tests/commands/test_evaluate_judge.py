"""`facecond evaluate judge`: a judge against true labels of real pictures."""

from __future__ import annotations

from pathlib import Path

import pytest

from facecond.cli import main
from facecond.data.prepared import PreparedFolder
from facecond.data.render_set import render_prepared
from facecond.labels import MASK_CLASSES
from facecond.models.judges import FaceParser
from facecond.storage import read_json


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("check") / "faces"
    render_prepared(root, 40, 64, judges_fraction=0.6, test_fraction=0.2, workers=1)
    return root


def test_the_table_and_the_file_agree(
    faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    FaceParser(width=8, image_size=64).save_pretrained(tmp_path / "parser")
    file = tmp_path / "deep" / "scores.json"
    words = ["evaluate", "judge", "parser", str(tmp_path / "parser"), "--data", str(faces)]
    assert main([*words, "--json", str(file)]) == 0
    shown, scores = capsys.readouterr().out, read_json(file)
    assert f"mask_miou {scores['mask_miou']} on 8 faces of the test split" in shown
    assert scores["n"] == 8 and scores["split"] == "test"
    assert scores["data_hash"] == PreparedFolder.open(faces).data_hash
    assert set(scores["per_class"]) <= set(MASK_CLASSES) and len(scores["weights_sha256"]) == 64
    assert all(f"{value:.3f}" in shown for value in scores["per_class"].values())


def test_a_judge_on_its_own_faces_is_told_apart(
    faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "attributes"
    words = ["train", "judge", "attributes", "judge_attributes_64", "--out", str(out), "--set"]
    few = ["judge.steps=2", "judge.batch_size=4", "judge.width=8", f"data.root={faces}"]
    assert main([*words, *few]) == 0
    check = ["evaluate", "judge", "attributes", str(out), "--data", str(faces), "--split"]
    assert main([*check, "judges"]) == 0
    assert "note: the judge learned from this split" in capsys.readouterr().out
    assert main([*check, "test"]) == 0
    assert "note:" not in capsys.readouterr().out


def test_faults_are_one_line(
    faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    FaceParser(width=8, image_size=128).save_pretrained(tmp_path / "parser")
    words = ["evaluate", "judge", "parser", str(tmp_path / "parser"), "--data", str(faces)]
    assert main(words) == 2
    shown = capsys.readouterr().err
    assert "this judge is for 128 px, these faces have 64 px" in shown
    assert len(shown.splitlines()) == 1
    bad = [*words[:3], str(tmp_path / "none"), *words[4:], "--json", str(tmp_path)]
    assert main(bad) == 2  # before the judge is read
    assert f"{tmp_path}: is a folder, not a file" in capsys.readouterr().err
    words[2] = "attributes"
    assert main(words) == 2
    assert "FaceParser, not a AttributeClassifier" in capsys.readouterr().err
