"""Fréchet distance against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from facecond import metrics
from facecond.seeding import numpy_generator


def test_frechet_distance_of_known_gaussians() -> None:
    generator = np.random.default_rng(0)
    white = np.linalg.qr(generator.normal(size=(400, 4)) - 0.0)[0]
    white -= white.mean(0)
    white = white @ np.linalg.inv(np.linalg.cholesky(np.cov(white, rowvar=False)).T)
    spread, shift = np.array([1.0, 2.0, 0.5, 3.0]), np.array([0.0, 1.0, -2.0, 0.5])
    # the sets have exactly the covariances I and diag(spread^2): sum of (spread - 1)^2 and shift^2
    expected = float(((spread - 1) ** 2).sum() + (shift**2).sum())
    assert metrics.frechet_distance(white * spread + shift, white) == pytest.approx(expected, 1e-6)
    assert metrics.frechet_distance(white, white[::-1]) == pytest.approx(0, abs=1e-6)
    with pytest.raises(ValueError, match="two images"):
        metrics.frechet_distance(white[:1], white)


@pytest.mark.filterwarnings("ignore:Matrix is singular")
def test_frechet_interval_lies_around_the_figure() -> None:
    generator = np.random.default_rng(1)
    features, reference = generator.normal(0.5, 1, (150, 6)), generator.normal(size=(300, 6))
    interval = metrics.frechet_interval(features, reference, draws=40)
    assert interval.low < metrics.frechet_distance(features, reference) < interval.high
    assert interval == metrics.frechet_interval(features, reference, draws=40)
    # without variation the interval is the figure itself: all ways to compute it agree
    pairs = np.repeat(features[:1], 5, 0)
    point = metrics.frechet_interval(pairs, reference, draws=5)
    score = metrics.frechet_distance(pairs, reference)
    assert (point.low, point.high) == pytest.approx((score, score))


@pytest.mark.filterwarnings("ignore:Matrix is singular")
@pytest.mark.parametrize("count", [12, 40])
def test_frechet_interval_of_few_and_of_many_images(count: int) -> None:
    """Both sides of the choice of a matrix against draws made one by one."""
    generator = np.random.default_rng(2)
    features, reference = generator.normal(3, 2, (count, 16)), generator.normal(size=(60, 16))
    picks = numpy_generator(5, "bootstrap", "frechet").integers(count, size=(25, count))
    draws = np.array([metrics.frechet_distance(features[pick], reference) for pick in picks])
    scores = draws + metrics.frechet_distance(features, reference) - draws.mean()
    interval = metrics.frechet_interval(features, reference, seed=5, draws=25)
    expected = tuple(np.quantile(scores, [0.025, 0.975]))
    assert (interval.low, interval.high) == pytest.approx(expected, rel=1e-4)
