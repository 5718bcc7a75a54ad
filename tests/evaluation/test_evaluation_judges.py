"""Judges from a folder: what they say of themselves, and which weights they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from facecond.errors import UserError
from facecond.evaluation.judges import Judge, Judges, open_parser, own_scores
from facecond.models.judges import FaceParser


def test_judges_bring_their_own_scores(judges: Judges, other_judges: Judges) -> None:
    assert judges.parser.scores["seed"] == 0 and other_judges.classifier.scores["seed"] == 1
    assert judges.parser.scores["mask_miou"] > 0.9
    ours, theirs = judges.hashes(), other_judges.hashes()
    assert not set(ours.values()) & set(theirs.values())
    assert Judges.load(judges.name).hashes() == ours
    assert judges.of("parser") is judges.parser and judges.of("attributes") is judges.classifier


def test_what_is_kept_of_a_judge(judges: Judges) -> None:
    told = judges.parser.described()
    assert told == {
        "judge": f"{judges.name}/parser",
        "weights": judges.parser.weights,
        "scores": own_scores(judges.parser.path),
    }
    assert judges.parser.image_size == 32 and len(told["weights"]) == 64
    assert Judge(FaceParser(width=8, image_size=0)).image_size == 0


def test_a_judge_without_scores_says_nothing(tmp_path: Path) -> None:
    FaceParser(width=8).save_pretrained(tmp_path)
    assert open_parser(tmp_path).scores == {}


def test_a_folder_without_judges_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no parser judge here"):
        Judges.load(tmp_path)
