"""Training of the judges: they learn what is planted, reproduce, and say how good they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from facecond.data.prepared import PreparedFolder
from facecond.data.rendered import render
from facecond.data.writing import PreparedWriter
from facecond.errors import UserError
from facecond.labels import ATTRIBUTES
from facecond.models.judges import load_classifier, load_parser
from facecond.storage import read_json
from facecond.training.judges import train_judge


@pytest.fixture
def faces(quarters: PreparedFolder) -> PreparedFolder:
    return quarters


def test_parser_learns_planted_classes(faces: PreparedFolder, tmp_path: Path) -> None:
    scores = train_judge(
        "parser", faces, tmp_path / "p", steps=90, batch_size=16, width=8, progress=False
    )
    assert scores["mask_miou"] > 0.7
    assert set(scores["per_class"]) == {"background", "skin", "hair", "cloth"}
    model = load_parser(tmp_path / "p")
    row = int(faces.indices("test")[0])
    pixels = torch.from_numpy(faces.image(row)).permute(2, 0, 1)[None] / 127.5 - 1
    right = (model(pixels).argmax(1)[0].numpy() == faces.mask(row))[8:-8]
    assert right.mean() > 0.8


def test_classifier_learns_what_shows_and_not_what_does_not(
    faces: PreparedFolder, tmp_path: Path
) -> None:
    scores = train_judge(
        "attributes", faces, tmp_path / "a", steps=60, batch_size=16, width=8, progress=False
    )
    per_attribute = scores["per_attribute"]
    assert per_attribute[ATTRIBUTES[0]] > 0.95 and per_attribute[ATTRIBUTES[1]] > 0.95
    assert list(load_classifier(tmp_path / "a").config["attributes"]) == list(ATTRIBUTES[:3])
    model, rows = load_classifier(tmp_path / "a"), faces.indices("test")
    pixels = np.stack([faces.image(int(i)) for i in rows])
    present, _ = model.judge(torch.from_numpy(pixels).permute(0, 3, 1, 2) / 127.5 - 1)
    assert (present[:, :2].numpy() == faces.attributes[rows, :2]).mean() > 0.9


def test_the_same_seed_gives_the_same_judge(faces: PreparedFolder, tmp_path: Path) -> None:
    for kind in ("parser", "attributes"):
        weights = []
        for name, seed in (("one", 0), ("two", 0), ("three", 1)):
            out = tmp_path / kind / name
            train_judge(kind, faces, out, steps=3, batch_size=8, width=8, seed=seed, progress=False)
            weights.append(next(out.glob("*.safetensors")).read_bytes())
        assert weights[0] == weights[1] != weights[2]


def test_what_is_saved_says_what_it_is(faces: PreparedFolder, tmp_path: Path) -> None:
    out = tmp_path / "parser"
    scores = train_judge("parser", faces, out, steps=2, batch_size=8, width=8, progress=False)
    assert read_json(out / "scores.json") == scores
    assert scores["data_hash"] == faces.data_hash
    assert scores["images"] == {"train": 171, "validation": 19}
    assert f"| background | {scores['per_class']['background']:.3f} |" in (
        out / "card.md"
    ).read_text("utf-8")
    train_judge("parser", faces, out, steps=2, batch_size=8, width=8, progress=False)  # replaces


def test_another_folder_is_not_overwritten(faces: PreparedFolder, tmp_path: Path) -> None:
    (tmp_path / "diary.txt").write_text("keep me")
    with pytest.raises(UserError, match="something else"):
        train_judge("parser", faces, tmp_path, steps=2, progress=False)
    assert (tmp_path / "diary.txt").read_text() == "keep me"


def test_faces_without_truth_are_a_user_error(tmp_path: Path) -> None:
    with PreparedWriter(tmp_path / "bare", 32, "folder") as writer:
        for i in range(10):
            image = np.full((32, 32, 3), i, np.uint8)
            writer.add(f"{i}", image, None, np.full(40, -1, np.int8), "judges")
    folder = PreparedFolder.open(tmp_path / "bare")
    for kind, truth in (("parser", "masks"), ("attributes", "attributes")):
        with pytest.raises(UserError, match=f"only 0 faces .* have {truth}"):
            train_judge(kind, folder, tmp_path / kind, steps=2, progress=False)
        assert not (tmp_path / kind).exists()


def test_judges_learn_on_rendered_faces(tmp_path: Path) -> None:
    with PreparedWriter(tmp_path / "faces", 64, "rendered") as writer:
        for i in range(64):
            face = render(0, i, 64)
            writer.add(f"{i}", face.image, face.mask, face.attributes, "judges")
    folder = PreparedFolder.open(tmp_path / "faces")
    untrained, trained = (
        train_judge(
            "parser", folder, tmp_path / f"{steps}", steps=steps, batch_size=8, width=8,
            progress=False,
        )["mask_miou"]
        for steps in (1, 60)
    )  # fmt: skip
    assert trained > untrained + 0.1
