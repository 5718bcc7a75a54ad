"""Mask agreement against counts made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from facecond import metrics


def test_miou_by_hand() -> None:
    truth = np.array([[[0, 0, 1, 1], [0, 0, 1, 255]]], np.uint8)
    guess = np.array([[[0, 1, 1, 1], [0, 0, 2, 3]]], np.uint8)
    # class 0: 3 of 4; class 1: 2 of 4; class 2: 0 of 1; class 3 only where anything goes
    counts = metrics.mask_counts(truth, guess, classes=5)
    assert counts.tolist() == [[[3, 4], [2, 4], [0, 1], [0, 0], [0, 0]]]
    iou = metrics.class_iou(counts.sum(0))
    assert iou[:3].tolist() == [0.75, 0.5, 0.0]
    assert np.isnan(iou[3:]).all()
    assert metrics.mean_iou(counts.sum(0)) == pytest.approx((0.75 + 0.5) / 3)


def test_counts_of_images_add_up_to_the_counts_of_the_set() -> None:
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 19, (6, 8, 8)).astype(np.uint8)
    truth[2, :4] = 255
    guess = generator.integers(0, 19, (6, 8, 8)).astype(np.uint8)
    whole = metrics.mask_counts(truth.reshape(1, 48, 8), guess.reshape(1, 48, 8))
    assert (metrics.mask_counts(truth, guess).sum(0) == whole[0]).all()


def test_masks_of_other_shapes_or_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="do not match"):
        metrics.mask_counts(np.zeros((1, 4, 4), np.uint8), np.zeros((1, 4, 5), np.uint8))
    with pytest.raises(ValueError, match="19 or more"):
        metrics.mask_counts(np.full((1, 2, 2), 19, np.uint8), np.zeros((1, 2, 2), np.uint8))


def test_pixel_accuracy_by_hand() -> None:
    truth = np.array([[[0, 1], [2, 255]], [[255, 255], [255, 255]]], np.uint8)
    guess = np.array([[[0, 1], [1, 2]], [[0, 1], [2, 3]]], np.uint8)
    counts = metrics.pixel_counts(truth, guess)
    assert counts.tolist() == [[2, 3], [0, 0]]
    assert metrics.ratio_of_sums(counts.sum(0)) == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="do not match"):
        metrics.pixel_counts(truth, guess[:1])


def test_pixel_accuracy_is_the_sum_of_intersections() -> None:
    generator = np.random.default_rng(1)
    truth = generator.integers(0, 19, (5, 16, 16)).astype(np.uint8)
    truth[1, :9] = 255
    guess = generator.integers(0, 19, (5, 16, 16)).astype(np.uint8)
    shared = metrics.mask_counts(truth, guess)[..., 0].sum(-1)
    assert (metrics.pixel_counts(truth, guess)[:, 0] == shared).all()


def test_mask_agreement_by_hand() -> None:
    first = np.array([[[0, 0, 0, 1]], [[0, 0, 1, 1]]], np.uint8)
    second = np.array([[[0, 0, 1, 1]], [[0, 0, 1, 1]]], np.uint8)
    # class 0: 4 of 5 pixels, class 1: 3 of 4
    assert metrics.mask_agreement(first, second) == pytest.approx((4 / 5 + 3 / 4) / 2)
    assert metrics.mask_agreement(second, first) == metrics.mask_agreement(first, second)
    assert metrics.mask_agreement(first, first) == 1.0
