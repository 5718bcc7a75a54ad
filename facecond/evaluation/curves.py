"""The log of a training -> learning curves."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from facecond.figures import svg_curves
from facecond.storage import read_json_lines

CURVES = 5
"""Most curves of loss by noise level in one chart; bins are averaged to fit."""


def read_curves(path: str | Path) -> list[dict[str, Any]]:
    """Records of a training's `metrics.jsonl`; none when there is no such file."""
    return read_json_lines(path) if Path(path).is_file() else []


def curve_charts(records: Sequence[Mapping[str, Any]]) -> str:
    """Charts of loss, loss by noise level and throughput, as HTML; empty without records."""
    if not records:
        return ""
    charts = [_chart("Loss", "loss", {"loss": _points(records, "loss")})]
    binned = [record for record in records if record.get("loss_by_bin")]
    if binned:
        bins = len(binned[0]["loss_by_bin"])
        width = -(-bins // CURVES)
        series = {}
        for low in range(0, bins, width):
            high = min(low + width, bins)
            values = [
                [v for v in record["loss_by_bin"][low:high] if v is not None] for record in binned
            ]
            pairs = [
                (r["step"], float(np.mean(v))) for r, v in zip(binned, values, strict=True) if v
            ]
            name = f"{low / bins:.1f}–{high / bins:.1f}"
            series[name] = ([x for x, _ in pairs], [y for _, y in pairs])
        charts.append(_chart("Loss by noise level (0 clean, 1 noise)", "loss", series))
    if any("images_per_second" in record for record in records):
        series = {"images/s": _points(records, "images_per_second")}
        charts.append(_chart("Throughput", "images/s", series))
    return f'<div class="pair">{"".join(f"<div>{chart}</div>" for chart in charts)}</div>'


def _points(records: Sequence[Mapping[str, Any]], key: str) -> tuple[list[float], list[float]]:
    found = [(record["step"], record[key]) for record in records if key in record]
    return [x for x, _ in found], [y for _, y in found]


def _chart(
    title: str, unit: str, series: Mapping[str, tuple[Sequence[float], Sequence[float]]]
) -> str:
    chart = svg_curves(series, x_label="step", y_label=unit, width=460, height=250)
    return f"<h3>{html.escape(title)}</h3>{chart}"
