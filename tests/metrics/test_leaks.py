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


def test_counts_of_one_axis_less_are_told_by_their_axis() -> None:
    counts = np.array([[3, 4], [1, 2]])
    assert metrics.beyond(metrics.ratio_of_sums, -2)(counts) == pytest.approx(0.25)


@pytest.mark.parametrize("errors", [0.0, 0.02, 0.1])
@pytest.mark.parametrize("copied", [0.0, 0.05])
def test_errors_are_no_leak_and_hide_none(errors: float, copied: float) -> None:
    """Masks of four vertical bands; a share of pixels is wrong, another as in the reference."""
    generator = np.random.default_rng(0)

    def faces(count: int) -> np.ndarray:
        edges = np.sort(generator.integers(1, 31, (count, 3)), 1)
        bands = (np.arange(32) >= edges[:, :, None]).sum(1)
        return np.repeat(bands[:, None], 32, 1).astype(np.uint8)

    asked, reference, stranger = faces(200), faces(200), faces(200)
    seen = np.where(generator.random(asked.shape) < copied, reference, asked)
    wrong = generator.integers(0, 4, asked.shape).astype(np.uint8)
    seen = np.where(generator.random(asked.shape) < errors, wrong, seen)

    def against(masks: np.ndarray) -> list[np.ndarray]:
        return [metrics.mask_counts(other, masks) for other in (reference, stranger)]

    counts = np.stack([*against(seen), *against(asked)], 1).sum(0)
    leak = metrics.beyond_chance(metrics.mean_iou)(counts)
    if copied:
        assert 0.02 < leak < 0.08
    else:
        assert abs(leak) < 0.004
    if errors == 0.1:  # what it would be without the unrelated face
        assert metrics.beyond(metrics.mean_iou)(counts[[0, 2]]) < leak - 0.01
