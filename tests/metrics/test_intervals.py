"""Intervals against known populations; pairings."""

from __future__ import annotations

import numpy as np
import pytest

from facecond import metrics


def test_bootstrap_interval_covers_the_truth() -> None:
    """Of 100 samples from a known population, about 95 intervals hold the population's score."""
    generator, covered = np.random.default_rng(2), 0
    for trial in range(100):
        hits = generator.random((120, 1)) < 0.7
        truth = np.tile(np.array([1, 0], np.int8), 60)[:, None]
        counts = metrics.attribute_counts(truth, np.where(truth == 1, hits, ~hits))
        interval = metrics.bootstrap_interval(
            counts, metrics.balanced_accuracy, seed=trial, draws=200
        )
        covered += interval.low <= 0.7 <= interval.high
    assert 87 <= covered <= 100


def test_bootstrap_is_seeded_and_exact_without_variation() -> None:
    counts = np.tile(np.array([[3, 4], [1, 2]]), (10, 1, 1))
    interval = metrics.bootstrap_interval(counts, metrics.mean_iou, draws=50)
    assert interval.low == interval.high == pytest.approx(0.625)
    varied = np.random.default_rng(0).integers(1, 9, (30, 3, 2)).cumsum(-1)
    one, same, other = (
        metrics.bootstrap_interval(varied, metrics.mean_iou, seed=s, draws=50) for s in (1, 1, 2)
    )
    assert one == same != other


def test_share_of_way() -> None:
    assert metrics.share_of_way(0.5, 0.2, 0.8) == pytest.approx(0.5)
    assert metrics.share_of_way(0.8, 0.2, 0.8) == 1.0
    assert np.isnan(metrics.share_of_way(0.5, 0.3, 0.3))


@pytest.mark.parametrize("count", [2, 3, 17, 512])
def test_derangement_moves_everything_once(count: int) -> None:
    partner = metrics.derangement(count, seed=count)
    assert sorted(partner) == list(range(count))
    assert (partner != np.arange(count)).all()
    assert (partner == metrics.derangement(count, seed=count)).all()


def test_bootstrap_of_sums_that_are_no_counts() -> None:
    """Fractions are kept: rounding would turn these sums into 0 or 1."""
    counts = np.tile([0.03, 0.1], (12, 1))
    interval = metrics.bootstrap_interval(counts, metrics.ratio_of_sums, draws=50)
    assert interval.low == pytest.approx(0.3) and interval.high == pytest.approx(0.3)


def test_bootstrap_of_what_cannot_be_scored_is_not_a_number() -> None:
    interval = metrics.bootstrap_interval(np.zeros((4, 2), int), metrics.ratio_of_sums, draws=20)
    assert np.isnan([interval.low, interval.high]).all()
