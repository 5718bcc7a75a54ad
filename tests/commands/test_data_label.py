"""`facecond data label`: from two judges to labels, and who reads them."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

from facecond.cli import main
from facecond.commands import data_label
from facecond.data.prepared import PreparedFolder
from facecond.data.rendered import render
from facecond.data.writing import PreparedWriter
from facecond.evaluation.annotate import MIN_CONFIDENCE
from facecond.labels import ATTRIBUTES, UNSPECIFIED
from facecond.models.judges import AttributeClassifier, FaceParser
from facecond.storage import read_json, write_json


@pytest.fixture(scope="module")
def judges(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained judges; the classifier claims to know two attributes."""
    root = tmp_path_factory.mktemp("label_judges")
    FaceParser(width=8, image_size=64).save_pretrained(root / "parser")
    AttributeClassifier(width=8, image_size=64).save_pretrained(root / "attributes")
    told = {"Smiling": 0.9, "Bald": 0.85, "Oval_Face": 0.5}
    scores = {"kind": "attributes", "seed": 3, "per_attribute": told, "attribute_bacc": 0.75}
    write_json(root / "attributes" / "scores.json", scores)
    return root


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Prepared folder of 24 rendered faces without attributes; every third has a mask."""
    with PreparedWriter(tmp_path / "data", 64, "folder") as writer:
        for index in range(24):
            face = render(0, index, 64)
            mask = None if index % 3 else face.mask
            split = ("generator", "judges", "test")[index % 4 % 3]
            nothing = np.full(40, UNSPECIFIED, np.int8)
            writer.add(f"n{index:02d}", face.image, mask, nothing, split)
    return tmp_path / "data"


def test_labels_are_filled_and_reported(
    folder: Path, judges: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["data", "label", str(folder), "--attributes", str(judges / "attributes")]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "warning: no true attributes to check this judge on; its figures are its own" in shown
    assert "48 values filled in 24 faces (at least 0.8 certain)" in shown
    row = next(line for line in shown.splitlines() if line.startswith("Oval_Face"))
    assert row.split()[1:] == ["0.500", "-", "left", "open"]
    full = PreparedFolder.open(folder, labels="all")
    given = full.attribute_predicted.all(0)
    assert {name for name, g in zip(ATTRIBUTES, given, strict=True) if g} == {"Smiling", "Bald"}
    assert read_json(folder / "predicted" / "manifest.json")["attributes"]["scores"]["seed"] == 3

    words = ["data", "label", str(folder), "--attributes", str(judges / "attributes")]
    assert main([*words, "--min-confidence", "0.88"]) == 0
    assert "24 values filled" in capsys.readouterr().out


def test_the_default_is_that_of_the_function() -> None:
    import argparse

    parser = argparse.ArgumentParser()
    data_label.configure(parser)
    assert parser.parse_args(["x"]).min_confidence == MIN_CONFIDENCE


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no judge is given. Add --parser, --attributes or both."),
        (["--parser", "{judges}/attributes"], "AttributeClassifier, not a FaceParser"),
        (["--attributes", "{judges}/nothing"], "no attributes judge here"),
        (["--parser", "{judges}/parser", "--min-confidence", "80"], "from 0 to 1, not '80'"),
        # An untrained parser knows no class.
        (["--parser", "{judges}/parser"], "with a mean IoU of 0.0"),
    ],
)
def test_faults_are_one_line_and_leave_nothing(
    folder: Path, judges: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "label", str(folder), *(w.format(judges=judges) for w in words)]) == 2
    shown = capsys.readouterr().err.splitlines()[-1]
    assert message in shown and shown.startswith("facecond: error: ")
    assert sorted(path.name for path in folder.iterdir()) == [
        "attributes.csv", "images", "manifest.json", "masks", "splits",
    ]  # fmt: skip


def test_a_judge_learns_from_the_truth_alone(
    folder: Path, judges: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "label", str(folder), "--attributes", str(judges / "attributes")]) == 0
    words = ["train", "judge", "attributes", "judge_attributes_64", "--out", str(tmp_path / "j")]
    assert main([*words, "--set", f"data.root={folder}", "judge.steps=1"]) == 2
    assert "only 0 faces" in capsys.readouterr().err


def test_only_the_training_of_the_denoiser_reads_predictions(root: Path) -> None:
    asking = set()
    for path in (root / "facecond").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            opens = isinstance(node, ast.Call) and ast.unparse(node.func) == "PreparedFolder.open"
            if opens and len(node.args) + len(node.keywords) > 1:
                asking.add(path.relative_to(root / "facecond").as_posix())
    # The labelling itself says in one line what the folder holds now.
    assert asking == {"training/setup.py", "commands/data_label.py"}
