"""How often stated values are right: planted, counted by hand, and kept as JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.special import expit

from facecond.labels import ABSENT, PRESENT
from facecond.metrics.attribute_calibration import (
    FOLDS,
    LEVELS,
    AttributeCalibration,
    calibrate,
    cross_fitted,
)
from facecond.metrics.calibration import apply_platt, fit_platt


def planted(base: float, count: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """A judge of 85 % balanced accuracy on an attribute of this base rate: logits are normal around
    -1 and 1, so that the log odds of the attribute are 2 * logit + log odds of the base rate."""
    random = np.random.default_rng(0)
    present = random.random(count) < base
    return random.normal(np.where(present, 1.04, -1.04), 1.0), present


def test_what_a_stated_value_is_worth_depends_on_the_base_rate() -> None:
    logits, present = planted(0.02)
    assert np.mean([(logits[present] > 0).mean(), (logits[~present] < 0).mean()]) > 0.83
    # Balanced accuracy .85, and yet: of the faces above the threshold few have the attribute.
    assert present[logits > 0].mean() < 0.15
    found = calibrate(logits, present)
    assert found.base_rate == pytest.approx(0.02, abs=0.003)
    assert found.slope == pytest.approx(2.08, abs=0.2)
    for value, level in ((ABSENT, 0.95), (PRESENT, 0.5), (PRESENT, 0.6)):
        count, right = found.answered(value, level)
        assert count > 50 and right / count > level - 0.08, (value, level)
    # "Absent" is sure of all but a few faces, "present" of a tenth of those that have it.
    assert found.answered(ABSENT, 0.8)[0] > 0.95 * len(present)
    assert found.answered(PRESENT, 0.8)[0] < 0.3 * present.sum()


def test_answers_are_counted_by_stated_value_and_level() -> None:
    logits = np.repeat([-8.0, -1.0, 1.0, 8.0], 100)
    present = np.repeat([False, False, True, True], 100)
    present[[100, 101, 200, 201]] ^= True  # two of a hundred are wrong
    found = calibrate(logits, present)
    assert (found.present, found.absent, found.base_rate) == (200, 200, 0.5)
    for value in (ABSENT, PRESENT):
        assert found.answered(value, 0.5) == found.answered(value, 0.0) == (200, 198)
        assert found.answered(value, 0.55) == (200, 198)
        assert found.answered(value, 0.99) == found.answered(value, 0.95)
        assert found.keeps_its_word(value, 0.0) and found.keeps_its_word(value, 0.8)


def counted(*pairs: tuple[int, int]) -> AttributeCalibration:
    """Answers of "present" at the levels, the same for "absent"."""
    answers = np.array([pairs, pairs], np.int64)
    return AttributeCalibration(1.0, 0.0, 50, 50, answers)


def test_a_value_keeps_its_word_where_enough_answers_bear_it_out() -> None:
    found = counted((40, 38), (30, 20), (20, 14), (10, 8), (5, 4), (4, 4))
    kept = {least: found.keeps_its_word(PRESENT, least) for least in (*LEVELS, 0.0, 0.85)}
    assert kept == {
        0.5: True, 0.6: True, 0.7: True, 0.8: True,  # 38/40, 20/30, 14/20, 8/10
        0.9: False,  # 4 of 5
        0.95: False,  # all of 4: too few
        0.0: True, 0.85: True,
    }  # fmt: skip


def test_no_face_is_scaled_by_a_fit_that_saw_it() -> None:
    logits, present = planted(0.3, 200)
    probability = cross_fitted(logits, present)
    assert probability.shape == (200,)
    own = apply_platt(logits, *fit_platt(logits, present))
    assert np.corrcoef(probability, own)[0, 1] > 0.99 and not np.allclose(probability, own)
    # One face turned round changes no other answer of its own part.
    changed = present.copy()
    first = int(np.flatnonzero(present)[0])
    part = np.flatnonzero(present)[::FOLDS]
    logits[first] += 1.0
    again = cross_fitted(logits, changed)
    np.testing.assert_array_equal(again[part[1:]], probability[part[1:]])
    assert (np.delete(again, part) != np.delete(probability, part)).any()


def test_the_file_keeps_it() -> None:
    found = calibrate(*planted(0.2, 500))
    told = json.loads(json.dumps(found.as_json()))
    assert told["base_rate"] == pytest.approx(found.base_rate, abs=1e-4)
    again = AttributeCalibration.from_json(told)
    np.testing.assert_array_equal(again.answers, found.answers)
    assert (again.present, again.absent) == (found.present, found.absent)
    assert again.slope == pytest.approx(found.slope, abs=1e-5)
    probability = expit(found.offset)
    assert expit(again.offset) == pytest.approx(probability, abs=1e-5)
    for damage in (
        {"slope": float("nan")}, {"present": 0, "absent": 0}, {"offset": None},
        {"stated_present": told["stated_present"][:3]},
    ):  # fmt: skip
        with pytest.raises((KeyError, TypeError, ValueError)):
            AttributeCalibration.from_json(told | damage)
    with pytest.raises(KeyError):
        AttributeCalibration.from_json({})
