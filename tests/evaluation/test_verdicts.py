"""Judges from a folder: what they see, and which weights they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facecond.data.prepared import PreparedFolder
from facecond.errors import UserError
from facecond.evaluation.conditions import images_of, masks_of
from facecond.evaluation.verdicts import (
    Judges,
    judge_features,
    look,
    parse,
    probabilities,
)


def test_judges_bring_their_own_scores(judges: Judges, other_judges: Judges) -> None:
    assert judges.scores["parser"]["seed"] == 0 and other_judges.scores["attributes"]["seed"] == 1
    assert judges.scores["parser"]["mask_miou"] > 0.9
    ours, theirs = judges.hashes(), other_judges.hashes()
    assert not set(ours.values()) & set(theirs.values())
    assert Judges.load(judges.name).hashes() == ours


def test_what_is_seen_has_one_order(faces: PreparedFolder, judges: Judges) -> None:
    rows = faces.indices("test")
    images = images_of(faces, rows)
    verdict = look(judges, images)
    assert verdict.masks.dtype == np.uint8 and verdict.masks.shape == images.shape[:3]
    assert np.array_equal(verdict.masks, parse(judges, images))
    seen = faces.has_mask[rows]
    assert (verdict.masks[seen] == masks_of(faces, rows)[seen]).mean() > 0.95
    likely = probabilities(judges, images)
    assert np.array_equal(likely > 0.5, verdict.present)  # 0.5 lies at the threshold
    assert np.allclose(judge_features(judges.classifier, images), verdict.features, atol=1e-5)
    # More than one batch of the judges, in the order of the pictures.
    doubled = look(judges, np.concatenate([images, images[::-1]]))
    assert np.array_equal(doubled.present[: len(rows)], doubled.present[::-1][: len(rows)])


def test_a_folder_without_judges_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no parser judge here"):
        Judges.load(tmp_path)
