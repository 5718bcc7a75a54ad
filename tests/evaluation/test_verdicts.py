"""What judges see."""

from __future__ import annotations

import numpy as np

from facecond.data.prepared import PreparedFolder
from facecond.evaluation.conditions import images_of, masks_of
from facecond.evaluation.verdicts import (
    Judges,
    judge_attributes,
    judge_features,
    judge_images,
    parse,
    probabilities,
)


def test_what_is_seen_has_one_order(faces: PreparedFolder, judges: Judges) -> None:
    rows = faces.indices("test")
    images = images_of(faces, rows)
    verdict = judge_images(judges, images)
    assert verdict.masks.dtype == np.uint8 and verdict.masks.shape == images.shape[:3]
    assert np.array_equal(verdict.masks, parse(judges.parser.model, images))
    seen = faces.has_mask[rows]
    assert (verdict.masks[seen] == masks_of(faces, rows)[seen]).mean() > 0.95
    likely = probabilities(judges.classifier.model, images)
    assert np.array_equal(likely > 0.5, verdict.present)  # 0.5 lies at the threshold
    assert np.allclose(judge_features(judges.classifier.model, images), verdict.features, atol=1e-5)
    present, features = judge_attributes(judges.classifier.model, images)
    assert np.array_equal(present, verdict.present)
    assert np.array_equal(features, verdict.features) and features.dtype == np.float32
    # More than one batch of the judges, in the order of the pictures.
    doubled = judge_images(judges, np.concatenate([images, images[::-1]]))
    assert np.array_equal(doubled.present[: len(rows)], doubled.present[::-1][: len(rows)])
