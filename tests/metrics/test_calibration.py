"""Calibration against planted probabilities and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, softmax

from facecond.metrics.calibration import (
    apply_platt,
    calibration_error,
    fit_platt,
    fit_temperature,
)


def test_platt_finds_the_planted_slope_and_offset() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 3, 40_000)
    present = random.random(len(logits)) < expit(0.4 * logits - 1.2)
    slope, offset = fit_platt(logits, present)
    assert slope == pytest.approx(0.4, abs=0.02) and offset == pytest.approx(-1.2, abs=0.05)
    # The unit of the logits does not matter.
    small = fit_platt(logits * 1e-3, present)
    np.testing.assert_allclose(
        apply_platt(logits * 1e-3, *small), apply_platt(logits, slope, offset), atol=1e-3
    )


def test_useless_logits_give_the_base_rate() -> None:
    random = np.random.default_rng(1)
    present = np.arange(4000) % 5 == 0
    slope, offset = fit_platt(random.normal(size=4000), present)
    assert abs(slope) < 0.1 and expit(offset) == pytest.approx(0.2, abs=0.01)


def test_logits_that_point_the_wrong_way_are_not_turned_round() -> None:
    logits = np.linspace(-3, 3, 400)
    slope, offset = fit_platt(logits, logits < 0)
    assert slope == 0 and expit(offset) == pytest.approx(0.5, abs=0.01)


def test_separable_cases_meet_the_softened_targets() -> None:
    logits = np.array([-1.0, -1.0, 1.0, 1.0])
    slope, offset = fit_platt(logits, logits > 0)
    # (2 + 1) / (2 + 2) for the present, 1 / (2 + 2) for the absent.
    np.testing.assert_allclose(
        apply_platt(logits, slope, offset), [0.25, 0.25, 0.75, 0.75], atol=1e-4
    )


def test_one_kind_of_case_alone_stays_finite() -> None:
    slope, offset = fit_platt(np.array([0.5, 1.5, -0.3]), np.zeros(3, bool))
    assert np.isfinite([slope, offset]).all()
    assert (apply_platt(np.array([0.5]), slope, offset) < 0.5).all()


def test_temperature_and_bias_are_found() -> None:
    random = np.random.default_rng(2)
    bias = np.array([1.0, -0.5, 0.0, -0.5])
    scores = random.normal(0, 2, (60_000, 4))
    chances = softmax(scores, 1).cumsum(1)
    classes = (random.random((len(scores), 1)) > chances).sum(1)
    temperature, found = fit_temperature((scores - bias) * 2.5, classes)
    assert temperature == pytest.approx(2.5, rel=0.03)
    np.testing.assert_allclose(found, bias, atol=0.05)


def test_a_class_that_never_occurs_keeps_a_finite_bias() -> None:
    random = np.random.default_rng(3)
    logits = random.normal(size=(500, 3))
    temperature, bias = fit_temperature(logits, logits[:, :2].argmax(1))
    assert np.isfinite([temperature, *bias]).all()
    assert bias[2] < bias[:2].min()


def test_calibration_error_of_known_answers() -> None:
    right = np.tile([True, True, True, False], 25)
    assert calibration_error(np.full(100, 0.75), right) == pytest.approx(0, abs=0.06)
    assert calibration_error(np.full(100, 1.0), np.zeros(100, bool)) == 1
    # Bins of sure and right, and of unsure and wrong: |0.9 - 1| and |0.6 - 0|, equally many.
    confidence, right = np.repeat([0.9, 0.6], 50), np.repeat([True, False], 50)
    assert calibration_error(confidence, right) == pytest.approx(0.35)
    assert np.isnan(calibration_error(np.empty(0), np.empty(0, bool)))
    assert calibration_error(np.array([0.7]), np.array([True])) == pytest.approx(0.3)
