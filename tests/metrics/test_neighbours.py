"""Nearest neighbours against the whole matrix; planted copies."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from facecond import metrics


def test_nearest_agrees_with_the_whole_matrix() -> None:
    generator = np.random.default_rng(0)
    features, reference = generator.normal(size=(3100, 6)), generator.normal(size=(2900, 6))
    distances, rows = metrics.nearest(features, reference)
    whole = cdist(features, reference)
    assert rows.dtype == np.int64
    assert (rows == whole.argmin(1)).all()
    assert np.allclose(distances, whole.min(1), rtol=1e-12)


def test_copies_are_at_exactly_zero_even_far_from_the_origin() -> None:
    reference = np.random.default_rng(1).normal(1e4, 1, (200, 40)).astype(np.float32)
    distances, rows = metrics.nearest(reference[[7, 7, 150]], reference)
    assert distances.tolist() == [0.0, 0.0, 0.0]
    assert rows.tolist() == [7, 7, 150]


def test_memorisation_by_hand() -> None:
    held_out = np.arange(1.0, 200)  # 1 .. 199
    found = metrics.memorisation(np.array([0.5, 1.5, 2.0, 100.0]), held_out)
    # the second smallest of 199: 2 / 200 = 0.01
    assert found == metrics.Memorisation(0.5, 0.01, 2.0, 1.75, 100.0)
    few = metrics.memorisation(np.array([0.5, 3.0]), np.arange(1.0, 10))
    assert (few.threshold, few.expected, few.share) == (1.0, 0.1, 0.5)
    with pytest.raises(ValueError, match="held-out"):
        metrics.memorisation(held_out, held_out[:0])


def test_new_pictures_have_the_expected_share() -> None:
    generator, shares = np.random.default_rng(2), []
    for _ in range(400):
        found = metrics.memorisation(generator.gamma(3, size=50), generator.gamma(3, size=60), 0.05)
        shares.append(found.share)
    error = np.std(shares) / np.sqrt(len(shares))
    assert found.expected == 3 / 61
    assert abs(np.mean(shares) - found.expected) < 4 * error


def test_planted_copies_are_found() -> None:
    generator = np.random.default_rng(3)
    train, held_out, new = (generator.normal(size=(n, 16)) for n in (600, 400, 300))
    copies = train[:30] + generator.normal(0, 0.05, (30, 16))
    usual = metrics.nearest(held_out, train)[0]
    honest = metrics.memorisation(metrics.nearest(new, train)[0], usual)
    mixed = metrics.nearest(np.concatenate([new[:270], copies]), train)[0]
    caught = metrics.memorisation(mixed, usual)
    assert honest.share < 0.04
    assert caught.share >= 30 / 300
    assert (mixed[-30:] < caught.threshold).all()
    assert honest.median == pytest.approx(honest.held_out_median, rel=0.05)


def test_the_interval_of_memorisation_covers_what_new_pictures_show() -> None:
    """Samples from the held-out distribution: 95% intervals hold the expected share, about."""
    covered, trials = 0, 120
    for trial in range(trials):
        generator = np.random.default_rng(trial)
        samples, held_out = generator.exponential(size=(2, 400))
        found = metrics.memorisation(samples, held_out)
        interval = metrics.memorisation_interval(samples, held_out, seed=trial, draws=200)
        assert interval.low <= found.share <= interval.high
        covered += interval.low <= found.expected <= interval.high
    assert covered >= 0.88 * trials
