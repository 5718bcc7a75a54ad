"""Learning curves: what a training logs is what is drawn."""

from __future__ import annotations

import json
import re
from pathlib import Path

from facecond.evaluation.curves import curve_charts, read_curves


def test_curves_are_read_from_a_training_log(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    assert read_curves(log) == []
    log.write_text("".join(json.dumps({"step": s, "loss": 1.0}) + "\n" for s in (1, 2)))
    assert read_curves(log) == [{"step": 1, "loss": 1.0}, {"step": 2, "loss": 1.0}]


def test_bins_are_averaged_and_gaps_left_out() -> None:
    records = [
        {"step": 1, "loss": 1.0, "loss_by_bin": [1.0, 3.0] * 5},
        {"step": 2, "loss": 1.0, "loss_by_bin": [None, None] + [1.0, None] * 4},
    ]
    drawn = [points.split() for points in re.findall(r'points="(.*?)"', curve_charts(records))]
    assert [len(points) for points in drawn] == [2, 1, 2, 2, 2, 2]  # loss, then five bins
    heights = [float(point.split(",")[1]) for point in drawn[2]]
    assert heights[1] > heights[0]  # from the mean of 1 and 3 down to 1
    assert curve_charts([]) == ""


def test_a_log_that_a_crash_cut_short_is_still_drawn(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    log.write_text('{"step": 1, "loss": 1.0}\n{"step": 2, "lo')
    assert read_curves(log) == [{"step": 1, "loss": 1.0}]
