"""Rows of a reconstruction report by hand."""

from __future__ import annotations

import numpy as np
import pytest

from facecond import metrics
from facecond.evaluation.reconstruction_rows import (
    FRECHET,
    attribute_row,
    frechet_row,
    mask_row,
    picture_row,
)
from facecond.labels import ATTRIBUTES, MASK_CLASSES


def test_means_and_their_intervals() -> None:
    generator = np.random.default_rng(0)
    values = generator.normal(30.0, 2.0, 400)
    row = picture_row("psnr", values, 0)
    assert row["score"] == pytest.approx(values.mean(), rel=1e-12)
    assert (row["n"], row["ceiling"], row["floor"], row["share"]) == (400, None, None, None)
    # The interval of a mean is 1.96 standard errors to each side.
    reach = 1.96 * values.std() / 20
    assert row["high"] - row["score"] == pytest.approx(reach, rel=0.15)
    assert row["score"] - row["low"] == pytest.approx(reach, rel=0.15)
    small = picture_row("distance", values / 1e5, 0)  # whole numbers would lose these
    assert small["high"] - small["score"] == pytest.approx(reach / 1e5, rel=0.15)
    same = picture_row("ssim", np.full(5, 0.25), 0)
    assert (same["low"], same["score"], same["high"]) == (0.25, 0.25, 0.25)


def test_masks_against_the_truth() -> None:
    truth = np.zeros((6, 4, 4), np.uint8)
    truth[:, :2] = 1
    half = truth.copy()
    half[:, 1] = 0
    right, wrong = metrics.mask_counts(truth, truth), metrics.mask_counts(truth, half)
    row = mask_row(wrong, right, 0)
    # Background: 8 of 12 pixels; skin: 4 of 8.
    assert row["score"] == pytest.approx((8 / 12 + 4 / 8) / 2) and row["ceiling"] == 1
    skin = row["detail"][MASK_CLASSES[1]]
    assert skin == {"score": 0.5, "ceiling": 1.0} and len(row["detail"]) == 2


def test_attributes_with_enough_cases() -> None:
    truth = np.full((20, 40), -1, np.int8)
    truth[:, 0] = np.arange(20) % 2
    truth[:3, 1] = 1  # too few
    guess = np.ones((20, 40), bool)
    right = metrics.attribute_counts(truth, truth == 1)
    row = attribute_row(metrics.attribute_counts(truth, guess), right, 0)
    assert row is not None and (row["score"], row["ceiling"]) == (0.5, 1.0)
    assert list(row["detail"]) == [ATTRIBUTES[0]]
    assert attribute_row(right[:6], right[:6], 0) is None


def test_the_distance_of_shifted_features() -> None:
    """Fréchet distance of a Gaussian from itself moved by d is d^2."""
    generator = np.random.default_rng(0)
    reference = generator.normal(size=(300, 3))
    row = frechet_row(reference + [2.0, 0, 0], reference, reference, 0)
    assert row["metric"] == FRECHET == "frechet_judge_reconstruction" and row["better"] == "lower"
    assert row["score"] == pytest.approx(4.0, abs=1e-6)
    assert row["ceiling"] == pytest.approx(0, abs=1e-6)
    assert row["low"] < 4 < row["high"] and row["reference_n"] == 300
