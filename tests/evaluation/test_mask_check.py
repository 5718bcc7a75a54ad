"""A parser is believed class by class."""

from __future__ import annotations

import numpy as np
import pytest

from facecond.evaluation.mask_check import MaskCheck
from facecond.labels import ANYTHING, MASK_CLASSES
from facecond.metrics import MINIMUM_CASES


def check_of(truth: np.ndarray, predicted: np.ndarray, sure: float = 0.8) -> MaskCheck:
    check = MaskCheck()
    for start in range(0, len(truth), 4):  # in batches
        part = slice(start, start + 4)
        check.add(truth[part], predicted[part], np.full(truth[part].shape, sure))
    return check


def test_precision_and_scores_by_hand() -> None:
    # Two halves: skin (1) and hair (13). A quarter of the pixels called skin are hair.
    truth = np.ones((6, 8, 8), np.uint8)
    truth[:, 6:] = 13
    predicted = np.ones_like(truth)
    check = check_of(truth, predicted)
    assert check.precision[1] == pytest.approx(0.75)
    assert np.isnan(check.precision[13]) and np.isnan(check.precision[0])
    assert np.flatnonzero(check.used).tolist() == [1]
    found = check.summary()
    assert found["faces"] == 6 and found["pixel_accuracy"] == 0.75
    assert found["mean_confidence"] == pytest.approx(0.8)
    assert found["mask_miou"] == pytest.approx(0.75 / 2)  # skin 48/64, hair 0
    assert found["low"] == found["high"] == pytest.approx(0.375)  # all faces are the same
    assert found["per_class"]["skin"] == {
        "iou": 0.75, "precision": 0.75, "faces": 6, "used": True,
    }  # fmt: skip
    assert found["per_class"]["hair"]["used"] is False
    assert list(found["per_class"]) == list(MASK_CLASSES)


def test_a_class_that_is_wrong_more_often_than_right_is_left_out() -> None:
    truth = np.zeros((6, 10, 10), np.uint8)
    predicted = truth.copy()
    predicted[:, 0] = 14  # called hat, is background
    truth[:, 0, :4] = 14  # but for four pixels of ten
    check = check_of(truth, predicted)
    assert check.precision[14] == pytest.approx(0.4) and not check.used[14] and check.used[0]


def test_pixels_of_unknown_truth_count_nowhere() -> None:
    truth = np.full((6, 4, 4), ANYTHING, np.uint8)
    truth[:, 0] = 2
    check = check_of(truth, np.full_like(truth, 2))
    assert check.called[2] == 6 * 4 and check.precision[2] == 1
    assert check.summary()["pixel_accuracy"] == 1


def test_a_class_seen_in_too_few_faces_is_not_believed() -> None:
    truth = np.zeros((10, 4, 4), np.uint8)
    truth[: MINIMUM_CASES - 1, 0] = 3
    assert not check_of(truth, truth).used[3]
    truth[MINIMUM_CASES - 1, 0] = 3
    assert check_of(truth, truth).used[3]


def test_without_true_masks_nothing_is_known() -> None:
    assert MaskCheck().used.all() and MaskCheck().summary() == {} and np.isnan(MaskCheck().miou)
