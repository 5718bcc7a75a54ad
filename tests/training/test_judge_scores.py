"""Scores of judges by hand, and thresholds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from facecond.data.prepared import PreparedFolder
from facecond.labels import ATTRIBUTES, MASK_CLASSES
from facecond.models.judges import AttributeClassifier, FaceParser
from facecond.training import judge_scores
from facecond.training.judge_faces import FaceSource, read_faces
from facecond.training.judge_scores import (
    best_threshold,
    calibrations,
    choose_thresholds,
    score_classifier,
    score_parser,
)


@pytest.fixture(scope="module")
def faces(rendered_root: Path) -> FaceSource:
    return read_faces(PreparedFolder.open(rendered_root), "parser", progress=False)


def test_a_parser_that_says_one_class_has_its_share(faces: FaceSource) -> None:
    model = FaceParser(width=8)
    torch.nn.init.zeros_(model.network.head[1].weight)
    model.network.head[1].bias.data = torch.nn.functional.one_hot(torch.tensor(1), 19) * 1.0
    scores = score_parser(model, faces)
    masks = faces[np.arange(len(faces))].masks
    skin = float((masks == 1).float().mean())
    assert scores["per_class"]["skin"] == pytest.approx(skin, abs=1e-4)
    assert set(scores["per_class"]) == {MASK_CLASSES[i] for i in masks.unique().tolist()}
    assert scores["mask_miou"] == pytest.approx(skin / len(scores["per_class"]), abs=1e-4)
    assert model.training  # as it was


def test_the_size_of_a_batch_changes_no_score(
    faces: FaceSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = FaceParser(width=8)
    whole = score_parser(model, faces)
    monkeypatch.setattr(judge_scores, "PIXELS", 64 * 64 * 5)
    assert score_parser(model, faces) == whole


def test_thresholds_are_chosen_where_they_are_asked_for(faces: FaceSource) -> None:
    model = AttributeClassifier(width=8, attributes=["Smiling", "Male"]).eval()
    before = score_classifier(model, faces)
    assert set(before["per_attribute"]) <= {"Smiling", "Male"}
    assert list(model.config["thresholds"]) == [0.0] * len(ATTRIBUTES)
    chosen = choose_thresholds(model, faces)
    assert any(model.config["thresholds"])
    for name, score in chosen["per_attribute"].items():
        assert score >= before["per_attribute"][name]
    assert score_classifier(model, faces) == chosen


def test_what_stated_values_are_worth_is_counted_on_the_faces(faces: FaceSource) -> None:
    model = AttributeClassifier(width=8, attributes=["Smiling", "Male"]).eval()
    truth = faces.attributes.numpy()
    found = calibrations(model, faces)
    assert set(found) == set(score_classifier(model, faces)["per_attribute"]) and found
    for name, told in found.items():
        column = truth[:, ATTRIBUTES.index(name)]
        assert (told["present"], told["absent"]) == ((column == 1).sum(), (column == 0).sum())
        known = (column != -1).sum()
        assert told["base_rate"] == pytest.approx((column == 1).sum() / known, abs=1e-4)
        # At even odds every face is answered, with one value or the other.
        assert told["stated_present"][0][1] + told["stated_absent"][0][1] == known
    json.dumps(found, allow_nan=False)


def test_threshold_is_the_best_cut() -> None:
    logits = np.array([-3, -2, -1.5, -1, -0.8, 1, 2, 3, 4, 5.0])
    truth = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1], np.int8)
    assert best_threshold(logits, truth) == 0.0  # it separates already
    assert best_threshold(logits + 4, truth) == pytest.approx(4.1)
    rare = np.where(np.arange(10) < 9, -1, truth).astype(np.int8)
    assert best_threshold(logits + 4, rare) == 0.0
