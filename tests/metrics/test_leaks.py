"""Leaks against counts made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from facecond import metrics


def test_disputed_pixels_by_hand() -> None:
    asked = np.array([[[0, 0, 1, 1, 255, 2]]], np.uint8)
    other = np.array([[[0, 1, 2, 255, 1, 3]]], np.uint8)
    seen = np.array([[[3, 1, 1, 255, 1, 3]]], np.uint8)
    # disputed: the second (seen as the other), the third (as asked), the last (as the other)
    assert metrics.disputed_counts(asked, other, seen).tolist() == [[2, 3]]
    with pytest.raises(ValueError, match="do not match"):
        metrics.disputed_counts(asked, other, seen[:, :, :2])


def test_a_score_beyond_another_is_their_difference() -> None:
    generator = np.random.default_rng(0)
    counts = np.sort(generator.integers(1, 9, (5, 2, 3, 2)), -1)  # unions are the larger ones
    found = metrics.beyond(metrics.mean_iou)(counts)
    assert found == pytest.approx(metrics.mean_iou(counts[:, 0]) - metrics.mean_iou(counts[:, 1]))
    assert metrics.beyond(metrics.mean_iou)(counts[:, [0, 0]]) == pytest.approx(np.zeros(5))


def test_groups_keep_the_sum_and_lose_the_order_of_faces() -> None:
    counts = np.arange(12).reshape(6, 2)
    groups = np.array([7, 2, 7, 2, 2, 9])
    found = metrics.by_group(counts, groups)
    assert found.tolist() == [[2 + 6 + 8, 3 + 7 + 9], [0 + 4, 1 + 5], [10, 11]]
    assert metrics.by_group(counts.astype(float) / 4, groups).dtype == float
