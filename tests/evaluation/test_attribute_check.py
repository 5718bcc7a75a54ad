"""A classifier is believed as far as the folder's true attributes bear it out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from facecond.evaluation.attribute_check import LEAST_ACCURACY, check_attributes
from facecond.labels import ATTRIBUTES, UNSPECIFIED

ALL = np.ones(40, bool)
ZERO = np.zeros(40, np.float32)
N = 2000


@pytest.fixture(scope="module")
def planted() -> tuple[np.ndarray, np.ndarray]:
    """Logits and truth: P(present) = sigmoid(logit / 2 - 0.5), in every column the same."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 4, (N, 40)).astype(np.float32)
    truth = (random.random((N, 40)) < expit(0.5 * logits - 0.5)).astype(np.int8)
    return logits, truth


def test_confidence_is_the_planted_probability(planted: tuple[np.ndarray, np.ndarray]) -> None:
    check = check_attributes(*planted, ZERO, ALL, {})
    assert check.used.all() and check.by_folder.all()
    logits = np.tile(np.array([[-6.0], [0.5], [1.0], [1.5], [6.0]], np.float32), (1, 40))
    values, confidence = check.answers(logits, ZERO)
    chance = expit(0.5 * logits[:, 0] - 0.5)
    np.testing.assert_allclose(confidence.mean(1), np.maximum(chance, 1 - chance), atol=0.02)
    # The likelier value, not what the threshold of 0 says: 0.5 is below even odds.
    assert (values[0] == 0).all() and (values[4] == 1).all()
    assert values[1].mean() < 0.05 and values[3].mean() > 0.95
    assert values.dtype == np.int8


def test_the_answers_keep_their_word(planted: tuple[np.ndarray, np.ndarray]) -> None:
    check = check_attributes(*planted, ZERO, ALL, {})
    assert check.error < 0.01
    assert check.confidence == pytest.approx(check.right, abs=0.01)
    logits, truth = planted
    # Overconfident logits are brought back to the same answers.
    loud = check_attributes(logits * 10, truth, ZERO, ALL, {})
    assert loud.confidence == pytest.approx(check.confidence, abs=1e-3)


def test_an_attribute_read_by_chance_is_left_out(planted: tuple[np.ndarray, np.ndarray]) -> None:
    logits, truth = (array.copy() for array in planted)
    logits[:, 3] = np.random.default_rng(1).normal(size=N)
    logits[:, 5] = -logits[:, 5]
    check = check_attributes(logits, truth, ZERO, ALL, {})
    assert np.flatnonzero(~check.used).tolist() == [3, 5]
    assert check.accuracy[3] == pytest.approx(0.5, abs=0.04) and check.accuracy[5] < 0.3
    values, confidence = check.answers(logits[:4], ZERO)
    assert (values[:, [3, 5]] == UNSPECIFIED).all() and (confidence[:, [3, 5]] == 0).all()
    assert check.low[0] < check.accuracy[0] < check.high[0]


def test_a_lucky_few_do_not_carry_an_attribute() -> None:
    # 5 present and 5 absent, 7 of 10 read rightly: 0.7 is above the bound, but may be chance.
    truth = np.full((10, 40), UNSPECIFIED, np.int8)
    truth[:, 0] = [1, 1, 1, 1, 1, 0, 0, 0, 0, 0]
    logits = np.zeros((10, 40), np.float32)
    logits[:, 0] = [1, 1, 1, 1, -1, -1, -1, -1, 1, 1]
    check = check_attributes(logits, truth, ZERO, ALL, {})
    assert check.accuracy[0] == pytest.approx(0.7) and check.accuracy[0] > LEAST_ACCURACY
    assert check.by_folder[0] and not check.used[0] and check.low[0] < 0.5
    assert check.cases[0].tolist() == [5, 5]


def test_without_true_cases_the_judges_own_figure_stands() -> None:
    own = {ATTRIBUTES[0]: 0.85, ATTRIBUTES[1]: 0.55, ATTRIBUTES[2]: 0.9}
    trained = ALL.copy()
    trained[2] = False
    truth = np.full((50, 40), UNSPECIFIED, np.int8)
    check = check_attributes(np.zeros((50, 40), np.float32), truth, ZERO, trained, own)
    assert np.flatnonzero(check.used).tolist() == [0] and not check.by_folder.any()
    thresholds = ZERO + 0.7
    logits = np.tile(np.array([[0.5], [0.9]], np.float32), (1, 40))
    values, confidence = check.answers(logits, thresholds)
    assert values[:, 0].tolist() == [0, 1] and confidence[:, 0].tolist() == [0.85, 0.85]
    assert np.isnan(check.error) and np.isnan(check.confidence)


def test_an_attribute_too_rare_to_check_stays_open_beside_checked_ones(
    planted: tuple[np.ndarray, np.ndarray],
) -> None:
    logits, truth = (array.copy() for array in planted)
    truth[:, 8] = 0
    truth[:4, 8] = 1
    check = check_attributes(logits, truth, ZERO, ALL, {ATTRIBUTES[8]: 0.95})
    assert np.flatnonzero(~check.used).tolist() == [8] and np.isnan(check.accuracy[8])


def test_a_column_that_was_not_trained_is_never_used(
    planted: tuple[np.ndarray, np.ndarray],
) -> None:
    trained = np.arange(40) != 9
    check = check_attributes(*planted, ZERO, trained, {ATTRIBUTES[9]: 0.99})
    assert np.flatnonzero(~check.used).tolist() == [9]
    assert np.isnan(check.accuracy[9])
