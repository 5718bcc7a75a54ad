"""Attribute agreement against counts made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from facecond import metrics


def test_balanced_accuracy_by_hand() -> None:
    truth = np.array([[1, 1], [1, -1], [0, 0], [0, 0], [0, 1], [-1, 1]], np.int8)
    guess = np.array([[1, 1], [0, 1], [0, 1], [0, 1], [1, 0], [1, 0]], bool)
    counts = metrics.attribute_counts(truth, guess).sum(0)
    assert counts.tolist() == [[1, 2, 2, 3], [1, 3, 0, 2]]
    assert metrics.attribute_accuracy(counts) == pytest.approx([(1 / 2 + 2 / 3) / 2, 1 / 6])
    assert metrics.balanced_accuracy(counts) == pytest.approx((7 / 12 + 1 / 6) / 2)


def test_rare_attributes_are_not_scored() -> None:
    counts = np.array([[5, 5, 9, 9], [4, 4, 9, 9], [9, 9, 0, 0]])
    scores = metrics.attribute_accuracy(counts, minimum=5)
    assert np.isnan(scores).tolist() == [False, True, True]
    assert metrics.balanced_accuracy(counts, minimum=5) == 1.0
    assert np.isnan(metrics.balanced_accuracy(counts[1:], minimum=5))


def test_f1_by_hand() -> None:
    # found 3 of 4 present, 5 of 6 absent: TP 3, FN 1, FP 1
    counts = np.array([[3, 4, 5, 6], [0, 2, 8, 8], [0, 0, 3, 4]])
    scores = metrics.attribute_f1(counts)
    assert scores[:2].tolist() == [6 / 8, 0.0] and np.isnan(scores[2])
    assert np.isnan(metrics.attribute_f1(counts, minimum=3)).tolist() == [False, True, True]
    assert metrics.attribute_f1(np.stack([counts, counts])).shape == (2, 3)


def test_f1_of_always_saying_present() -> None:
    truth = np.array([1, 0, 0, 0, 1], np.int8)[:, None]
    counts = metrics.attribute_counts(truth, np.ones((5, 1), bool)).sum(0)
    assert metrics.attribute_f1(counts) == pytest.approx([2 * 0.4 / 1.4])
