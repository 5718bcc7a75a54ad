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
