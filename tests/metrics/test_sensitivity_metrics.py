"""Tests, error bars and rankings of scores by layer, on cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from facecond import metrics

RNG = np.random.default_rng(0)


def test_paired_test_counts_the_exchanges_that_favour_the_effect_as_much() -> None:
    # Differences 1, 2, 3: of the 8 exchanges only the one that changes nothing gives a mean of 2.
    other = np.array([[2.0], [3.0], [4.0]])
    tested = metrics.paired_test(other, np.ones((3, 1)), draws=20_000)
    assert tested.score == 3.0
    assert tested.p == pytest.approx(1 / 8, abs=0.01)
    # All eight means: 1 + (1 +- 1 +- 2 +- 3 ...) / 2; the largest two are 3 and 2.33.
    assert tested.p95 == pytest.approx(3.0)


def test_paired_test_of_nothing_and_of_exchangeable_effects() -> None:
    zeros = np.zeros((8, 2))
    assert (metrics.paired_test(zeros, zeros).p == 1).all()
    other, sham = RNG.gamma(2, size=(2, 12, 4000))
    p = metrics.paired_test(other, sham, draws=200).p
    assert np.mean(p <= 0.05) == pytest.approx(0.05, abs=0.02)


def test_benjamini_hochberg_by_hand() -> None:
    p = np.array([[0.01, 0.04], [np.nan, 0.03]])
    q = metrics.benjamini_hochberg(p)
    assert q[0, 0] == pytest.approx(0.03) and np.isnan(q[1, 0])
    assert q[0, 1] == pytest.approx(0.04) and q[1, 1] == pytest.approx(0.04)
    same = RNG.random(50)
    assert np.allclose(metrics.benjamini_hochberg(same), stats.false_discovery_control(same))


def test_a_source_that_does_nothing_has_no_share() -> None:
    shares = metrics.share_of_whole(np.array([1.0, 0.0]), np.array([4.0, 0.0]))
    assert shares.tolist() == [0.25, 0.0]


def test_spearman_as_scipy_with_ties() -> None:
    first, second = RNG.integers(0, 4, (2, 30))
    wanted = stats.spearmanr(first, second).statistic
    assert metrics.spearman(first, second) == pytest.approx(wanted)
    assert np.isnan(metrics.spearman(np.ones(5), np.arange(5)))


def test_split_half_of_signal_of_noise_and_of_too_little() -> None:
    layers, images = np.arange(12.0), 40
    noise = RNG.normal(size=(images, 12))

    def clear(part: np.ndarray) -> np.ndarray:
        return (layers + 0.1 * noise[part]).mean(0)

    def chance(part: np.ndarray) -> np.ndarray:
        return noise[part].mean(0)

    assert metrics.split_half(clear, images) > 0.99
    assert metrics.split_half(chance, images) < metrics.STABLE
    assert metrics.split_half(clear, images) == metrics.split_half(clear, images)
    assert np.isnan(metrics.split_half(clear, 1))
    assert np.isnan(metrics.split_half(lambda part: np.zeros(1), images))


def test_ranking_holds_what_beats_its_control_and_never_a_zero() -> None:
    scores, q = np.array([0.1, 0.5, 0.0, 0.5, 0.9]), np.array([0.01, 0.01, 0.0, 0.01, 0.2])
    assert metrics.ranking(scores, q) == [1, 3, 0]
    assert metrics.ranking(scores) == [4, 1, 3, 0, 2]
    assert metrics.ranking(np.zeros(3), np.zeros(3)) == []


def test_bootstrap_weights_are_of_images() -> None:
    weights = metrics.resampled(10, draws=500)
    assert weights.shape == (500, 10) and np.allclose(weights.sum(1), 1)
    values = np.arange(10.0)
    assert (weights @ values).std() == pytest.approx(values.std() / np.sqrt(10), rel=0.1)


def test_z_scores() -> None:
    assert metrics.z_scores(np.array([1.0, 3.0])).tolist() == [-1.0, 1.0]
    assert metrics.z_scores(np.full(4, 0.3)).tolist() == [0.0] * 4
