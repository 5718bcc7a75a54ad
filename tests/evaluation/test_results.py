"""The files of rows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from facecond.evaluation.results import append_rows, summary
from facecond.evaluation.rows import frechet_rows, note_row, score_row
from facecond.metrics import Interval


def test_rows_are_appended_and_summed_up(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    features = [generator.normal(size=(30, 3)) for _ in range(4)]
    masks = score_row("mask_miou", 0.6, Interval(0.5, 0.7), ceiling=1.0, floor=0.2, n=8)
    pixels = score_row("pixel_accuracy", 0.7, Interval(0.5, 0.8), ceiling=1.0, floor=0.1, n=8)
    rows = [masks, pixels, *frechet_rows(*features, 0), note_row("empty", "why")]
    for _ in range(2):
        append_rows(tmp_path / "results.jsonl", rows)
    lines = (tmp_path / "results.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == rows * 2
    flat = summary(rows)
    assert flat["mask_miou"] == rows[0]["score"]
    assert flat["mask_miou_ceiling"] == 1.0
    assert flat["frechet_judge"] == rows[2]["score"]
    assert flat["frechet_judge_reconstruction"] == rows[3]["score"] == rows[2]["ceiling"]
    assert not any(key.startswith("frechet_judge_ceiling") for key in flat)
    assert flat["empty"] is None
