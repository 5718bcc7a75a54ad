"""Result rows."""

from __future__ import annotations

import numpy as np
import pytest

from facecond import metrics
from facecond.evaluation.rows import (
    CHANCE,
    attribute_rows,
    counted_row,
    frechet_rows,
    mask_rows,
    mean_row,
    note_row,
    score_row,
    scored_attributes,
)
from facecond.labels import ATTRIBUTES


def counts_of(correct: int, images: int = 8) -> np.ndarray:
    """Masks of skin and hair where `correct` of 8 columns are right."""
    truth = np.full((images, 4, 8), 1, np.uint8)
    truth[:, 2:] = 13
    guess = truth.copy()
    guess[..., correct:] = np.where(truth[..., correct:] == 1, 13, 1)
    return metrics.mask_counts(truth, guess)


def pixels_of(correct: int, images: int = 8) -> np.ndarray:
    return np.tile(np.array([[4 * correct, 32]]), (images, 1))


def all_masks(own: int, real: int, other: int) -> list[dict]:
    masks = (counts_of(own), counts_of(real), counts_of(other))
    pixels = (pixels_of(own), pixels_of(real), pixels_of(other))
    return mask_rows([masks], [pixels], seed=0)


def test_mask_rows_by_hand() -> None:
    row, pixels = all_masks(6, 8, 2)
    assert row["score"] == pytest.approx(12 / 20) == row["low"] == row["high"]
    assert (row["ceiling"], row["floor"], row["n"]) == (1.0, pytest.approx(4 / 28), 8)
    assert row["share"] == pytest.approx((0.6 - 1 / 7) / (6 / 7))
    assert set(row["detail"]) == {"skin", "hair"}
    assert (pixels["score"], pixels["floor"], pixels["share"]) == (0.75, 0.25, pytest.approx(2 / 3))


def planted(accuracy: float, seed: int = 0, images: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Truth of two attributes, and counts of a judge that is right so often on the first and
    always on the second."""
    generator = np.random.default_rng(seed)
    truth = np.full((images, 40), -1, np.int8)
    truth[:, 4:6] = generator.integers(0, 2, (images, 2))
    predicted = truth == 1
    wrong = generator.random(images) > accuracy
    predicted[wrong, 4] ^= True
    return truth, metrics.attribute_counts(truth, predicted)


def test_attributes_without_cases_are_listed() -> None:
    truth = np.full((12, 40), -1, np.int8)
    truth[:, 4] = np.arange(12) % 2
    truth[:, 5] = np.arange(12) < 3
    perfect = metrics.attribute_counts(truth, truth == 1)
    wrong = metrics.attribute_counts(truth, truth != 1)
    scored = scored_attributes(perfect, [perfect], seed=0)
    accuracy, f1 = attribute_rows([(perfect, perfect, wrong)], scored, seed=0)
    for row in (accuracy, f1):
        assert (row["score"], row["floor"], row["share"]) == (1.0, 0.0, 1.0)
        assert list(row["detail"]) == [ATTRIBUTES[4]] == scored.names
        assert ATTRIBUTES[5] in row["skipped"] and len(row["skipped"]) == 39
    few = [part[:4] for part in (perfect, perfect, wrong)]
    rows = attribute_rows([tuple(few)], scored_attributes(few[0], [few[1]], seed=0), seed=0)
    assert [row["metric"] for row in rows] == ["attribute_bacc", "attribute_f1"]
    assert all(row["score"] is None and "no attribute has 5" in row["note"] for row in rows)


def test_an_attribute_is_scored_only_where_every_judge_surely_sees_it() -> None:
    _, sure = planted(0.8)
    _, unsure = planted(0.58)  # its low bound lies below CHANCE
    assert metrics.balanced_accuracy(unsure[:, 4:5].sum(0)) > CHANCE
    both = scored_attributes(sure, [sure], seed=0)
    assert both.names == [ATTRIBUTES[4], ATTRIBUTES[5]] and not both.unseen
    for judges in ([unsure], [sure, unsure], [unsure, sure]):
        scored = scored_attributes(sure, judges, seed=0)
        assert scored.names == [ATTRIBUTES[5]] and scored.unseen == [ATTRIBUTES[4]]
    _, guessing = planted(0.5)
    sure[:, 5] = 0  # no face with the one that every judge sees
    scored = scored_attributes(sure, [guessing], seed=0)
    assert scored.names == [ATTRIBUTES[4]] and "from chance" in scored.note


def test_two_judges_and_their_difference_by_hand() -> None:
    own, worse = pixels_of(6).astype(int), pixels_of(4)
    triples = [(own, pixels_of(8), pixels_of(0)), (worse, pixels_of(8), pixels_of(2))]
    row = counted_row("pixel_accuracy", metrics.ratio_of_sums, triples, seed=0)
    assert row["second"] == {
        "score": 0.5,
        "ceiling": 1,
        "floor": 0.25,
        "share": pytest.approx(1 / 3),
    }
    assert row["difference"] == {"score": 0.25, "low": 0.25, "high": 0.25}


def test_means_shares_and_unknown_numbers() -> None:
    sums = np.array([[1.0, 2.0], [0.5, 2.0]])
    row = mean_row("x", sums, 0, ceiling=1.0, floor=0.0)
    assert row["score"] == row["share"] == 0.375 and row["n"] == 2
    assert 0.25 <= row["low"] <= row["high"] <= 0.5
    down = score_row("y", 0.2, None, ceiling=0.1, floor=0.5, n=3, better="lower")
    assert down["share"] == pytest.approx(0.75) and down["low"] is None
    assert score_row("z", float("nan"), None, n=1)["score"] is None
    assert note_row("x", "why")["score"] is None


def test_frechet_rows_take_the_name_of_their_features() -> None:
    generator = np.random.default_rng(0)
    sets = [generator.normal(size=(30, 3)) + shift for shift in (1, 0.5, 0, 0)]
    names = [row["metric"] for row in frechet_rows(*sets, 0, name="fid")]
    assert names == ["fid", "fid_reconstruction", "fid_real"]
    assert all(row["better"] == "lower" for row in frechet_rows(*sets, 0))
