"""Diversity and entropy: by hand, and against data drawn at known rates."""

from __future__ import annotations

import numpy as np
import pytest

from facecond import metrics


def test_pair_diversity_by_hand() -> None:
    distances = np.array([[0.1, 0.3], [0.5, 0.7]])
    assert metrics.pair_diversity(distances) == pytest.approx(0.4)
    with pytest.raises(ValueError, match="not"):
        metrics.pair_diversity(np.zeros((0, 3)))
    counts = np.stack([distances.sum(1), np.full(2, 2.0)], -1)
    assert metrics.ratio_of_sums(counts.sum(0)) == pytest.approx(0.4)
    interval = metrics.bootstrap_interval(counts, metrics.ratio_of_sums, draws=200)
    assert (interval.low, interval.high) == pytest.approx((0.2, 0.6))


def test_open_entropy_by_hand() -> None:
    # one condition, 2 samples: attribute 0 differs (1 bit), 1 agrees (0 bits), 2 was asked for,
    # 3 is not scored
    present = np.array([[[1, 1, 0, 1], [0, 1, 1, 0]]], bool)
    open_ = np.array([[True, True, False, True]])
    base = np.array([0.5, 0.25, 0.5, np.nan])
    found = metrics.open_entropy(present, open_, base)
    # two draws differ with probability 2 p (1 - p)
    assert found.score == pytest.approx(1 / 2)
    assert found.data == pytest.approx((2 * 0.25 + 2 * 0.25 * 0.75) / 2)
    assert found.share == pytest.approx(0.5 / 0.4375)
    counts = metrics.open_entropy_counts(present, open_, base)
    assert counts == pytest.approx(np.array([[1.0, 0.875, 2.0]]))
    with pytest.raises(ValueError, match="do not fit"):
        metrics.open_entropy(present, open_[:, :2], base)


@pytest.mark.parametrize("samples", [2, 5, 40])
def test_samples_at_the_rates_of_the_data_are_as_diverse_as_the_data(samples: int) -> None:
    generator, base = np.random.default_rng(samples), np.array([0.5, 0.1, 0.02, 0.9])
    present = generator.random((800, samples, 4)) < base
    counts = metrics.open_entropy_counts(present, np.ones((800, 4), bool), base)
    found = metrics.entropy_score(counts.sum(0))
    error = (counts[:, 0] / counts[:, 2]).std() / np.sqrt(800)
    assert abs(found.score - found.data) < 4 * error
    assert error < 0.05 * found.data


def test_collapse_has_no_entropy_and_a_half_collapsed_set_half() -> None:
    base, open_ = np.full(3, 0.5), np.ones((400, 3), bool)
    generator = np.random.default_rng(0)
    same = np.repeat(generator.random((400, 1, 3)) < 0.5, 8, 1)
    assert metrics.open_entropy(same, open_, base).share == 0.0
    half = same.copy()
    half[:, :, :] = np.where(np.arange(3) == 0, same, generator.random((400, 8, 3)) < 0.5)
    assert metrics.open_entropy(half, open_, base).share == pytest.approx(2 / 3, abs=0.02)


def test_many_samples_reach_the_entropy_itself() -> None:
    entropy = -(0.2 * np.log2(0.2) + 0.8 * np.log2(0.8))
    found = metrics.open_entropy(
        np.zeros((1, 3000, 1), bool), np.ones((1, 1), bool), np.array([0.2])
    )
    # the plug-in estimate is too low by about 1 / (2 n ln 2)
    assert found.data == pytest.approx(entropy - 1 / (6000 * np.log(2)), abs=1e-6)


def test_nothing_open_is_not_a_number() -> None:
    found = metrics.open_entropy(np.ones((2, 3, 4), bool), np.zeros((2, 4), bool), np.full(4, 0.5))
    assert np.isnan([found.score, found.data, found.share]).all()


def test_class_rates_leave_out_what_is_unknown() -> None:
    masks = np.array([[[0, 2]], [[1, 255]], [[1, 255]]], np.uint8)
    rates = metrics.class_rates(masks, 3)
    assert rates[:, 0, 0] == pytest.approx([1 / 3, 2 / 3, 0])
    assert rates[:, 0, 1].tolist() == [0, 0, 1]


def test_region_entropy_by_hand() -> None:
    # 4 samples of one condition; the left pixel is open and shows classes 0, 1, 2, 2
    parsed = np.array([[[[0, 0]], [[1, 1]], [[2, 2]], [[2, 0]]]], np.uint8)
    open_ = np.array([[[True, False]]])
    rates = np.zeros((3, 1, 2))
    rates[0] = 1.0
    found = metrics.region_entropy(parsed, open_, rates)
    assert found.score == pytest.approx(1.5)
    assert found.data == 0.0 and np.isnan(found.share)


def test_regions_of_two_classes_are_attributes() -> None:
    generator = np.random.default_rng(1)
    parsed = generator.integers(0, 2, (6, 5, 3, 4)).astype(np.uint8)
    open_, rate = generator.random((6, 3, 4)) < 0.5, generator.random((3, 4))
    found = metrics.region_entropy(parsed, open_, np.stack([1 - rate, rate]))
    flat = metrics.open_entropy(
        parsed.reshape(6, 5, 12) == 1, open_.reshape(6, 12), rate.reshape(12)
    )
    assert found.score == pytest.approx(flat.score)
    assert found.data == pytest.approx(flat.data)


def test_regions_drawn_from_the_data_are_as_diverse_as_the_data() -> None:
    generator, rates = np.random.default_rng(2), np.array([0.6, 0.3, 0.1])
    masks = generator.choice(3, (5000, 2, 2), p=rates).astype(np.uint8)
    parsed = generator.choice(3, (600, 4, 2, 2), p=rates).astype(np.uint8)
    found = metrics.region_entropy(
        parsed, np.ones((600, 2, 2), bool), metrics.class_rates(masks, 3)
    )
    assert found.share == pytest.approx(1, abs=0.03)
