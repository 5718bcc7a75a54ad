"""Shuffled conditions fall to floors that are known in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from facecond import metrics


def test_shuffled_masks_fall_to_chance() -> None:
    """Masks of c independent, equally likely classes: right by chance in 1 / c of the pixels, with
    an IoU of p^2 / (2 p - p^2) = 1 / (2 c - 1)."""
    classes = 5
    masks = np.random.default_rng(0).integers(0, classes, (60, 32, 32)).astype(np.uint8)
    partner = metrics.derangement(len(masks), seed=0)

    def scores(given: np.ndarray) -> tuple[float, float]:
        iou = metrics.mean_iou(metrics.mask_counts(given, masks, classes).sum(0))
        return float(iou), float(metrics.ratio_of_sums(metrics.pixel_counts(given, masks).sum(0)))

    assert scores(masks) == (1.0, 1.0)
    assert scores(masks[partner]) == pytest.approx((1 / 9, 1 / 5), abs=0.005)
    assert metrics.mask_agreement(masks, masks[partner]) == pytest.approx(1 / 9, abs=0.005)


def test_shuffled_attributes_fall_to_chance() -> None:
    """Balanced accuracy falls to 1/2 at any rate; F1 of independent truth and guess, both at rate
    p, to p."""
    generator, rates = np.random.default_rng(1), np.array([0.5, 0.2, 0.8])
    truth = (generator.random((4000, 3)) < rates).astype(np.int8)
    partner = metrics.derangement(len(truth), seed=0)
    own = metrics.attribute_counts(truth, truth == 1).sum(0)
    assert metrics.attribute_accuracy(own).tolist() == [1, 1, 1]
    assert metrics.attribute_f1(own).tolist() == [1, 1, 1]
    other = metrics.attribute_counts(truth[partner], truth == 1).sum(0)
    assert metrics.attribute_accuracy(other) == pytest.approx(np.full(3, 0.5), abs=0.04)
    assert metrics.attribute_f1(other) == pytest.approx(rates, abs=0.04)


def test_features_do_not_know_their_conditions() -> None:
    """A distance between sets has no such floor: order changes nothing."""
    generator = np.random.default_rng(2)
    features, reference = generator.normal(size=(80, 4)), generator.normal(0.5, 1, (90, 4))
    shuffled = features[metrics.derangement(80, seed=0)]
    assert metrics.frechet_distance(shuffled, reference) == pytest.approx(
        metrics.frechet_distance(features, reference)
    )
    assert metrics.manifold(shuffled, reference) == metrics.manifold(features, reference)


def test_the_package_loads_numpy_and_nothing_heavy(python) -> None:
    heavy = ("torch", "torchvision", "scipy", "cleanfid", "diffusers", "lpips", "PIL")
    probe = f"import sys, facecond.metrics; print([m for m in {heavy} if m in sys.modules])"
    assert python("-c", probe).stdout == "[]\n"
