"""`facecond data label`: from two judges to labels, and who reads them."""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from facecond.cli import main
from facecond.commands import data_label
from facecond.data.prepared import PreparedFolder
from facecond.data.rendered import render
from facecond.data.writing import PreparedWriter
from facecond.evaluation.annotate import MIN_CONFIDENCE
from facecond.labels import ATTRIBUTES, UNSPECIFIED
from facecond.metrics.attribute_calibration import calibrate
from facecond.models.judges import AttributeClassifier, FaceParser
from facecond.models.pixels import pictures_to_network
from facecond.storage import read_json, write_json


@pytest.fixture(scope="module")
def judges(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained judges; the classifier claims to know two attributes, and one value of a third."""
    root = tmp_path_factory.mktemp("label_judges")
    FaceParser(width=8, image_size=64).save_pretrained(root / "parser")
    model = AttributeClassifier(width=8, image_size=64).eval()
    model.save_pretrained(root / "attributes")
    images = np.stack([render(0, index, 64).image for index in range(24)])
    with torch.no_grad():
        logits = model(pictures_to_network(images)).numpy()
    told = {"Smiling": 0.9, "Bald": 0.85, "Narrow_Eyes": 0.7, "Oval_Face": 0.5}
    calibration = {}
    for name in told:
        column = logits[:, ATTRIBUTES.index(name)]
        found = calibrate(np.tile(column, 20), np.tile(column > np.median(column), 20)).as_json()
        found["slope"] *= 100  # surer than the fit, so that every face is labelled
        found["offset"] = -found["slope"] * float(np.median(column))
        calibration[name] = found
    # Read at 0.7, and at 0.8 or more "absent" alone is stated.
    rows = calibration["Narrow_Eyes"]["stated_present"]
    rows[3:] = [[level, 0, 0] for level, *_ in rows[3:]]
    scores = {"kind": "attributes", "seed": 3, "per_attribute": told, "attribute_bacc": 0.75}
    scores["calibration"] = calibration
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
    assert "warning: no true attributes to check this judge on; how often its values are" in shown
    assert "among which an attribute is as common" in shown and "at another rate" not in shown
    filled = re.search(r"(\d+) values filled in 24 faces \(at least 0.8 certain\)", shown)
    assert filled is not None and 40 <= int(filled[1]) <= 48  # a face may lie on the threshold
    rows = {line.split()[0]: line for line in shown.splitlines() if line}
    assert rows["Oval_Face"].split()[1:4] == ["0.500", "-", "left"]
    assert rows["Oval_Face"].endswith("read too weakly")
    assert rows["Narrow_Eyes"].endswith("not both of its values are read surely")
    smiling = rows["Smiling"].split()
    assert 0 < int(smiling[4]) < int(smiling[3]) and float(smiling[5]) > 0.8
    full = PreparedFolder.open(folder, labels="all")
    given = full.attribute_predicted.any(0)
    assert {name for name, g in zip(ATTRIBUTES, given, strict=True) if g} == {"Smiling", "Bald"}
    assert read_json(folder / "predicted" / "manifest.json")["attributes"]["scores"]["seed"] == 3


def test_another_base_rate_is_said(
    folder: Path, judges: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(judges / "attributes", tmp_path / "other")
    scores = read_json(tmp_path / "other" / "scores.json")
    scores["calibration"]["Bald"] |= {"present": 100, "absent": 900}
    write_json(tmp_path / "other" / "scores.json", scores)
    assert main(["data", "label", str(folder), "--attributes", str(tmp_path / "other")]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"at another rate .* it may be wrong: Bald \(0\.\d\d, 0\.10\)\n", shown)


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


def test_the_training_of_the_denoiser_reads_predictions_and_no_score_does(root: Path) -> None:
    asking = set()
    for path in (root / "facecond").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            opens = isinstance(node, ast.Call) and ast.unparse(node.func) == "PreparedFolder.open"
            if opens and len(node.args) + len(node.keywords) > 1:
                asking.add(path.relative_to(root / "facecond").as_posix())
    # The labelling itself says in one line what the folder holds now; attribute-split reads
    # predictions where it is asked to (--predicted), data pairs where --labels says so.
    commands = {"commands/data_label.py", "commands/attribute_split.py", "commands/data_pairs.py"}
    assert asking == {"training/setup.py", *commands}
