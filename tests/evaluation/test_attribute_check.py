"""A classifier is believed as far as the folder's true attributes bear it out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from facecond.evaluation.attribute_check import (
    FEW_EXPECTED,
    LEAST_ACCURACY,
    NEGLIGIBLE,
    AttributeCheck,
    check_attributes,
)
from facecond.labels import ATTRIBUTES, UNSPECIFIED
from facecond.metrics.attribute_calibration import calibrate

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


def answered(check: AttributeCheck, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    given = check.answers(logits, 0.0, np.ones(logits.shape, bool))
    return given.values, given.confidence


def test_confidence_is_the_planted_probability(planted: tuple[np.ndarray, np.ndarray]) -> None:
    check = check_attributes(*planted, ZERO, ALL, {})
    assert check.used.all() and check.by_folder.all()
    logits = np.tile(np.array([[-6.0], [0.5], [1.0], [1.5], [6.0]], np.float32), (1, 40))
    values, confidence = answered(check, logits)
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
    values, confidence = answered(check, logits[:4])
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


def rare_attribute(
    base: float, apart: float, count: int = N, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Logits and truth of an attribute in every column; faces with it and without it lie `apart`
    standard deviations from each other."""
    random = np.random.default_rng(seed)
    truth = (random.random((count, 40)) < base).astype(np.int8)
    return random.normal((truth - 0.5) * apart, 1.0).astype(np.float32), truth


def own_scores(logits: np.ndarray, truth: np.ndarray, accuracy: float) -> dict[str, Any]:
    """What a judge tells of itself: accuracy and calibration of each attribute."""
    calibration = {
        name: calibrate(logits[:, a], truth[:, a] == 1).as_json()
        for a, name in enumerate(ATTRIBUTES)
    }
    return {"per_attribute": dict.fromkeys(ATTRIBUTES, accuracy), "calibration": calibration}


NOTHING = np.full((0, 40), UNSPECIFIED, np.int8), np.zeros((0, 40), np.float32)


def test_without_truth_the_confidence_is_how_often_the_value_was_right_on_held_out_faces() -> None:
    """A judge of 85 % balanced accuracy on an attribute that one face in ten has: its "present" is
    right far less often than 85 %."""
    scores = own_scores(*rare_attribute(0.1, 2.08), 0.85)
    check = check_attributes(NOTHING[1], NOTHING[0], ZERO, ALL, scores)
    assert check.used.all() and not check.by_folder.any() and np.isnan(check.error)
    logits, truth = rare_attribute(0.1, 2.08, seed=1)
    assert truth[logits > 0].mean() < 0.45  # what a threshold would give
    values, confidence = answered(check, logits)
    for value in (0, 1):
        stated = values == value
        assert stated.sum() > 1000
        right = (truth[stated] == value).mean()
        assert confidence[stated].mean() == pytest.approx(right, abs=0.03), value
    assert confidence.min() >= 0.5


def test_where_one_value_alone_is_sure_the_attribute_stays_open() -> None:
    """Narrow eyes, read weakly: at 0.8 every label would be "absent"."""
    weak = own_scores(*rare_attribute(0.12, 1.0), 0.69)
    logits, _ = rare_attribute(0.12, 1.0, seed=1)
    wanted = np.ones(logits.shape, bool)
    check = check_attributes(NOTHING[1], NOTHING[0], ZERO, ALL, weak)
    sure = np.abs(check.probabilities(logits) - 0.5) + 0.5 >= 0.8
    assert sure.mean() > 0.7  # all of them "absent"
    assert (check.probabilities(logits)[sure] < 0.5).mean() > 0.99
    given = check.answers(logits, 0.8, wanted)
    assert given.one_sided.all() and (given.values == UNSPECIFIED).all()
    assert (given.confidence == 0).all()
    # The same on true attributes of the folder.
    by_folder = check_attributes(*rare_attribute(0.12, 1.0), ZERO, ALL, {})
    assert by_folder.by_folder.all() and by_folder.answers(logits, 0.8, wanted).one_sided.all()
    # Read well, both values are given.
    good = check_attributes(*rare_attribute(0.12, 4.0), ZERO, ALL, {})
    given = good.answers(rare_attribute(0.12, 4.0, seed=1)[0], 0.8, wanted)
    assert not given.one_sided.any()
    assert (given.values == 1).any(0).all() and (given.values == 0).any(0).all()


def test_a_value_that_hardly_a_face_has_may_be_missing() -> None:
    base = NEGLIGIBLE / 4
    logits, truth = rare_attribute(base, 1.5, count=4000)
    check = check_attributes(logits, truth, ZERO, ALL, {})
    given = check.answers(logits, 0.8, np.ones(logits.shape, bool))
    one_value = [a for a in range(40) if check.used[a] and not (given.values[:, a] == 1).any()]
    assert one_value and not given.one_sided[one_value].any()
    assert (given.values[:, one_value] == 0).mean() > 0.9


def test_labels_that_turn_out_one_sided_are_not_given() -> None:
    logits, truth = rare_attribute(0.3, 4.0)
    check = check_attributes(logits, truth, ZERO, ALL, {})
    absent = logits.copy()
    absent[truth == 1] -= 8  # other faces: the judge sees the attribute in none of them
    wanted = np.ones(logits.shape, bool)
    assert check.answers(absent, 0.8, wanted).one_sided.all()
    # Among few faces that may be chance.
    few = np.abs(absent[: FEW_EXPECTED // 2]) * -1
    given = check.answers(few, 0.8, wanted[: len(few)])
    assert not given.one_sided.any() and (given.values == 0).any()


def test_a_claim_that_the_held_out_faces_do_not_bear_out_is_not_made() -> None:
    logits, truth = rare_attribute(0.5, 4.0)
    scores = own_scores(logits, truth, 0.95)
    told = scores["calibration"][ATTRIBUTES[6]]
    told["stated_present"] = [[level, 100, 60] for level, *_ in told["stated_present"]]
    check = check_attributes(NOTHING[1], NOTHING[0], ZERO, ALL, scores)
    assert check.values_to_give(5, 0.8) == (0, 1)
    assert check.values_to_give(6, 0.8) == () and check.values_to_give(6, 0.5) == (0, 1)


def test_figures_without_calibration_and_weak_ones_are_not_used() -> None:
    scores = own_scores(*rare_attribute(0.5, 3.0), 0.9)
    scores["per_attribute"][ATTRIBUTES[1]] = 0.55
    del scores["calibration"][ATTRIBUTES[3]]
    trained = np.arange(40) != 2
    check = check_attributes(NOTHING[1], NOTHING[0], ZERO, trained, scores)
    assert np.flatnonzero(~check.used).tolist() == [1, 2, 3]
    assert np.isnan(check.accuracy[2]) and check.accuracy[3] == 0.9
    with pytest.raises(KeyError):
        broken = scores | {"calibration": {ATTRIBUTES[0]: {}}}
        check_attributes(NOTHING[1], NOTHING[0], ZERO, ALL, broken)


def test_an_attribute_too_rare_to_check_stays_open_beside_checked_ones(
    planted: tuple[np.ndarray, np.ndarray],
) -> None:
    logits, truth = (array.copy() for array in planted)
    truth[:, 8] = 0
    truth[:4, 8] = 1
    told = {"per_attribute": {ATTRIBUTES[8]: 0.95}}
    check = check_attributes(logits, truth, ZERO, ALL, told)
    assert np.flatnonzero(~check.used).tolist() == [8] and np.isnan(check.accuracy[8])


def test_a_column_that_was_not_trained_is_never_used(
    planted: tuple[np.ndarray, np.ndarray],
) -> None:
    trained = np.arange(40) != 9
    told = {"per_attribute": {ATTRIBUTES[9]: 0.99}}
    check = check_attributes(*planted, ZERO, trained, told)
    assert np.flatnonzero(~check.used).tolist() == [9]
    assert np.isnan(check.accuracy[9])
