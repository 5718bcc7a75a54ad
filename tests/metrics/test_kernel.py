"""Kernel distance: by hand, without bias, against the closed form of a planted difference."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from facecond import metrics


def moments_apart(shift: float) -> float:
    """The squared MMD of N(0, 1) and N(shift, 1) on one feature: (xy + 1)^3 compares the first
    three moments, 3 (dm1)^2 + 3 (dm2)^2 + (dm3)^2."""
    return 3 * shift**2 + 3 * shift**4 + (shift**3 + 3 * shift) ** 2


def test_kernel_distance_by_hand() -> None:
    x, y = np.array([[1.0], [2.0]]), np.array([[0.0], [1.0]])
    # within: (1 * 2 + 1)^3 = 27 and (0 * 1 + 1)^3 = 1; across: the mean of 1, 8, 1, 27
    found = metrics.kernel_distance(x, y)
    assert found.score == pytest.approx(27 + 1 - 2 * 37 / 4)
    assert np.isnan(found.std)
    # two features: products are divided by 2
    wide = metrics.kernel_distance(np.repeat(x, 2, 1), np.repeat(y, 2, 1))
    assert wide.score == pytest.approx(found.score)
    with pytest.raises(ValueError, match="two images"):
        metrics.kernel_distance(x[:1], y)


def test_two_samples_of_one_distribution_are_at_zero_on_average() -> None:
    generator, scores, biased = np.random.default_rng(0), [], []
    for draw in range(300):
        x, y = generator.normal(size=(20, 3)), generator.normal(size=(35, 3))
        scores.append(metrics.kernel_distance(x, y, seed=draw, subsets=4, subset_size=15).score)
        biased.append((((x * x).sum(1) / 3 + 1) ** 3).mean() / 15)
    error = np.std(scores) / np.sqrt(len(scores))
    assert abs(np.mean(scores)) < 4 * error
    # the test has power: pairs of an image with itself would be seen
    assert np.mean(biased) > 20 * error


@pytest.mark.parametrize("shift", [0.5, 1.0])
def test_a_planted_difference_is_found_without_bias(shift: float) -> None:
    generator, scores = np.random.default_rng(1), []
    for draw in range(400):
        x, y = generator.normal(shift, 1, (40, 1)), generator.normal(size=(60, 1))
        scores.append(metrics.kernel_distance(x, y, seed=draw, subsets=2, subset_size=30).score)
    error = np.std(scores) / np.sqrt(len(scores))
    assert abs(np.mean(scores) - moments_apart(shift)) < 4 * error
    assert error < 0.2 * moments_apart(shift)


def test_subsets_are_seeded_and_the_global_generator_stays_as_it_was() -> None:
    generator = np.random.default_rng(2)
    x, y = generator.normal(size=(50, 4)), generator.normal(0.3, 1, (70, 4))

    def found(seed: int) -> metrics.KernelDistance:
        return metrics.kernel_distance(x, y, seed=seed, subsets=6, subset_size=20)

    before = np.random.get_state()
    first = found(3)
    after = np.random.get_state()
    assert (before[1] == after[1]).all() and before[2:] == after[2:]
    np.random.random(5)
    assert found(3) == first != found(4)
    assert first.std > 0
    np.random.set_state(before)


def test_subsets_estimate_what_all_pairs_do() -> None:
    generator = np.random.default_rng(3)
    x, y = generator.normal(size=(300, 2)), generator.normal(0.7, 1, (300, 2))
    whole = metrics.kernel_distance(x, y)
    parts = metrics.kernel_distance(x, y, subsets=200, subset_size=100)
    assert parts.score == pytest.approx(whole.score, abs=4 * parts.std / np.sqrt(200))


def test_interval_covers_the_truth() -> None:
    """Of 100 samples of a known population, about 95 intervals hold its distance to a reference
    whose moments are those of N(0, 1)."""
    reference = norm.ppf((np.arange(500) + 0.5) / 500)[:, None]
    reference /= reference.std()
    generator, covered = np.random.default_rng(4), 0
    for trial in range(100):
        x = generator.normal(0.6, 1, (120, 1))
        score = metrics.kernel_distance(x, reference, seed=trial, subsets=10).score
        interval = metrics.kernel_interval(x, reference, score, seed=trial, draws=100)
        assert interval.low < score < interval.high
        covered += interval.low <= moments_apart(0.6) <= interval.high
    assert 85 <= covered <= 100


def test_interval_is_seeded_and_moves_with_the_score() -> None:
    generator = np.random.default_rng(5)
    x, y = generator.normal(size=(40, 3)), generator.normal(size=(60, 3))
    one, same, other = (metrics.kernel_interval(x, y, 0.0, seed=s, draws=50) for s in (1, 1, 2))
    assert one == same != other
    moved = metrics.kernel_interval(x, y, 2.0, seed=1, draws=50)
    assert (moved.low, moved.high) == pytest.approx((one.low + 2, one.high + 2))
    still = metrics.kernel_interval(np.repeat(x[:1], 9, 0), y, 0.5, draws=20)
    assert (still.low, still.high) == pytest.approx((0.5, 0.5))
