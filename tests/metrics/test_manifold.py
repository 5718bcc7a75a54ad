"""Precision, recall, density, coverage: by hand, against expectations, with planted faults."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from facecond import metrics


def test_balls_by_hand() -> None:
    reference = np.array([[0.0], [1.0], [3.0]])  # radii 1, 1, 2
    samples = np.array([[0.5], [4.0], [10.0]])  # radii 3.5, 3.5, 6
    # 0.5 lies in the balls of 0 and 1, 4 in that of 3, 10 in none; 0, 1 and 3 lie in that of 0.5
    found = metrics.manifold(samples, reference, k=1)
    assert found == metrics.Manifold(precision=2 / 3, recall=1.0, density=1.0, coverage=1.0)
    # k = 2: radii 3, 2, 3 and 9.5, 6, 9.5: 0.5 lies in all three balls, 4 in that of 3 alone
    found = metrics.manifold(samples, reference, k=2)
    assert found == metrics.Manifold(precision=2 / 3, recall=1.0, density=4 / 6, coverage=1.0)


@pytest.mark.parametrize("k", [1, 5])
def test_identical_sets(k: int) -> None:
    points = np.random.default_rng(0).normal(100.0, 1, (80, 6)).astype(np.float32)
    found = metrics.manifold(points, points[::-1], k=k)
    # each ball holds its own centre and k neighbours
    assert found == metrics.Manifold(1.0, 1.0, pytest.approx((k + 1) / k), 1.0)


def test_disjoint_sets() -> None:
    points = np.random.default_rng(1).normal(size=(60, 4))
    assert metrics.manifold(points + 1000, points) == metrics.Manifold(0.0, 0.0, 0.0, 0.0)


def test_repeated_points_lie_in_their_own_balls() -> None:
    points = np.repeat(np.random.default_rng(2).normal(50.0, 1, (4, 7)), 10, 0)
    assert metrics.manifold(points[::2], points, k=3).precision == 1.0
    assert metrics.manifold(points[:10], points, k=3).coverage == 0.25


def modes(generator: np.random.Generator, count: int, *centres: float) -> np.ndarray:
    return np.concatenate([generator.normal(c, 1, (count // len(centres), 3)) for c in centres])


def test_a_dropped_mode_costs_recall_and_coverage_alone() -> None:
    generator = np.random.default_rng(3)
    reference, both = modes(generator, 400, 0, 50), modes(generator, 400, 0, 50)
    whole = metrics.manifold(both, reference)
    half = metrics.manifold(modes(generator, 400, 0), reference)
    assert half.precision == pytest.approx(whole.precision, abs=0.08)
    assert half.recall <= 0.5 < 0.8 < whole.recall
    assert half.coverage <= 0.5 < 0.9 < whole.coverage


def test_an_invented_mode_costs_precision_and_density_alone() -> None:
    generator = np.random.default_rng(4)
    reference = modes(generator, 400, 0)
    whole = metrics.manifold(modes(generator, 400, 0), reference)
    found = metrics.manifold(modes(generator, 800, 0, 50), reference)
    assert found.recall == pytest.approx(whole.recall, abs=0.08)
    assert found.coverage == pytest.approx(whole.coverage, abs=0.05)
    assert found.precision <= 0.5 < 0.8 < whole.precision
    assert found.density == pytest.approx(whole.density / 2, rel=0.15)


def test_one_outlier_fools_precision_but_not_density() -> None:
    generator = np.random.default_rng(5)
    reference = np.concatenate([generator.normal(size=(200, 2)), [[40.0, 40.0]]])
    samples = generator.normal(20.0, 1, (200, 2))
    found = metrics.manifold(samples, reference, k=1)
    assert found.precision == 1.0
    assert found.density == pytest.approx(1.0)  # one ball each
    assert metrics.manifold(samples, reference, k=5).density == pytest.approx(1 / 5)
    assert found.coverage == pytest.approx(1 / 201)


def test_expected_density_and_coverage_of_one_distribution() -> None:
    """Naeem et al. 2020, lemmas 1 and 2: whatever the distribution."""
    generator, n, m, k = np.random.default_rng(6), 30, 50, 3
    expected = 1 - np.prod([(m - i) / (n + m - i) for i in range(1, k + 1)])
    found = [
        metrics.manifold(generator.gamma(2, size=(n, 2)), generator.gamma(2, size=(m, 2)), k)
        for _ in range(300)
    ]
    for values, truth in (
        ([f.density for f in found], 1.0),
        ([f.coverage for f in found], expected),
    ):
        error = np.std(values) / np.sqrt(len(values))
        assert abs(np.mean(values) - truth) < 4 * error
        assert error < 0.02


def test_blocks_agree_with_the_whole_matrix() -> None:
    generator, k = np.random.default_rng(7), 4
    samples, reference = generator.normal(0.3, 1, (3100, 5)), generator.normal(size=(2900, 5))
    real = np.sort(cdist(reference, reference), 1)[:, k]
    own = np.sort(cdist(samples, samples), 1)[:, k]
    distances = cdist(samples, reference)
    within = distances <= real
    counts = metrics.manifold_counts(samples, reference, k)
    assert (counts["precision"][:, 0] == within.any(1)).all()
    assert (counts["density"][:, 0] == within.sum(1)).all()
    assert (counts["coverage"][:, 0] == within.any(0)).all()
    assert (counts["recall"][:, 0] == (distances <= own[:, None]).any(0)).all()
    assert metrics.manifold(samples, reference, k).density == pytest.approx(
        within.sum() / (k * len(samples))
    )


def test_counts_give_intervals() -> None:
    generator = np.random.default_rng(8)
    counts = metrics.manifold_counts(
        generator.normal(1, 1, (90, 2)), generator.normal(size=(70, 2))
    )
    for part in counts.values():
        interval = metrics.bootstrap_interval(part, metrics.ratio_of_sums, draws=100)
        assert interval.low < metrics.ratio_of_sums(part.sum(0)) < interval.high


def test_too_few_images_are_refused() -> None:
    points = np.zeros((5, 2))
    with pytest.raises(ValueError, match="5 images are too few for 5 neighbours"):
        metrics.manifold(points, np.zeros((9, 2)))
    with pytest.raises(ValueError, match="do not match"):
        metrics.manifold(np.zeros((9, 3)), np.zeros((9, 2)))
