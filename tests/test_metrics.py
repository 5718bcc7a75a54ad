"""Metrics against closed forms and counts made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from facecond import metrics


def test_miou_by_hand() -> None:
    truth = np.array([[[0, 0, 1, 1], [0, 0, 1, 255]]], np.uint8)
    guess = np.array([[[0, 1, 1, 1], [0, 0, 2, 3]]], np.uint8)
    # class 0: 3 of 4; class 1: 2 of 4; class 2: 0 of 1; class 3 only where anything goes
    counts = metrics.mask_counts(truth, guess, classes=5)
    assert counts.tolist() == [[[3, 4], [2, 4], [0, 1], [0, 0], [0, 0]]]
    iou = metrics.class_iou(counts.sum(0))
    assert iou[:3].tolist() == [0.75, 0.5, 0.0]
    assert np.isnan(iou[3:]).all()
    assert metrics.mean_iou(counts.sum(0)) == pytest.approx((0.75 + 0.5) / 3)


def test_counts_of_images_add_up_to_the_counts_of_the_set() -> None:
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 19, (6, 8, 8)).astype(np.uint8)
    truth[2, :4] = 255
    guess = generator.integers(0, 19, (6, 8, 8)).astype(np.uint8)
    whole = metrics.mask_counts(truth.reshape(1, 48, 8), guess.reshape(1, 48, 8))
    assert (metrics.mask_counts(truth, guess).sum(0) == whole[0]).all()


def test_masks_of_other_shapes_or_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="do not match"):
        metrics.mask_counts(np.zeros((1, 4, 4), np.uint8), np.zeros((1, 4, 5), np.uint8))
    with pytest.raises(ValueError, match="19 or more"):
        metrics.mask_counts(np.full((1, 2, 2), 19, np.uint8), np.zeros((1, 2, 2), np.uint8))


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
    # without variation the interval is the figure itself: both ways to compute it agree
    pairs = np.repeat(features[:1], 5, 0)
    point = metrics.frechet_interval(pairs, reference, draws=5)
    assert point.low == point.high == pytest.approx(metrics.frechet_distance(pairs, reference))


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
