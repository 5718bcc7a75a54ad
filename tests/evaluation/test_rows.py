"""Result rows, their files and their table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from facecond import metrics
from facecond.errors import UserError
from facecond.evaluation.rows import (
    append_rows,
    attribute_row,
    frechet_rows,
    markdown,
    mask_row,
    summary,
)
from facecond.labels import ATTRIBUTES


def counts_of(correct: int, images: int = 8) -> np.ndarray:
    """Masks of skin and hair where `correct` of 8 columns are right."""
    truth = np.full((images, 4, 8), 1, np.uint8)
    truth[:, 2:] = 13
    guess = truth.copy()
    guess[..., correct:] = np.where(truth[..., correct:] == 1, 13, 1)
    return metrics.mask_counts(truth, guess)


def test_mask_row_by_hand() -> None:
    row = mask_row(counts_of(6), counts_of(8), counts_of(2), seed=0)
    assert row["score"] == pytest.approx(12 / 20) == row["low"] == row["high"]
    assert (row["ceiling"], row["floor"]) == (1.0, pytest.approx(4 / 28))
    assert row["share"] == pytest.approx((0.6 - 1 / 7) / (6 / 7))
    assert set(row["detail"]) == {"skin", "hair"}


def test_attributes_without_cases_are_listed() -> None:
    truth = np.full((12, 40), -1, np.int8)
    truth[:, 4] = np.arange(12) % 2
    truth[:, 5] = np.arange(12) < 3
    perfect = metrics.attribute_counts(truth, truth == 1)
    wrong = metrics.attribute_counts(truth, truth != 1)
    row = attribute_row(perfect, perfect, wrong, seed=0)
    assert (row["score"], row["floor"], row["share"]) == (1.0, 0.0, 1.0)
    assert list(row["detail"]) == [ATTRIBUTES[4]]
    assert ATTRIBUTES[5] in row["skipped"] and len(row["skipped"]) == 39
    with pytest.raises(UserError, match="no attribute"):
        attribute_row(perfect[:4], perfect[:4], wrong[:4], seed=0)


def test_rows_are_appended_and_summed_up(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    features = [generator.normal(size=(30, 3)) for _ in range(4)]
    rows = [mask_row(counts_of(6), counts_of(8), counts_of(2), 0), *frechet_rows(*features, 0)]
    for _ in range(2):
        append_rows(tmp_path / "results.jsonl", rows)
    lines = (tmp_path / "results.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == rows * 2
    flat = summary(rows)
    assert flat["mask_miou"] == rows[0]["score"]
    assert flat["mask_miou_ceiling"] == 1.0
    assert flat["frechet_judge"] == rows[1]["score"]
    assert flat["frechet_judge_reconstruction"] == rows[2]["score"] == rows[1]["ceiling"]
    table = markdown(rows)
    assert "| mask_miou | 0.600 | 0.600 – 0.600 | 0.143 | 1.000 | 53% | – |" in table
    assert "FID" in table.splitlines()[-1]  # says that it is none
