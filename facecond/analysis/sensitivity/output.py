"""The files of an analysis: `sensitivity.json`, pictures, one page."""

from __future__ import annotations

from pathlib import Path

from facecond.analysis.sensitivity.analyse import Sensitivity
from facecond.analysis.sensitivity.charts import heatmap, selectivity_plot
from facecond.analysis.sensitivity.drawing import Drawing
from facecond.analysis.sensitivity.page import render_page
from facecond.analysis.sensitivity.result import as_json, text_table
from facecond.storage import atomic_file, write_json, write_text

PICTURED = (
    "swap", "contribution", "jsd_ratio", "omega2", "jsd_ratio_cross", "omega2_cross",
)  # fmt: skip


def write_results(found: Sensitivity, out: Path, command: str) -> None:
    """Write `heatmap_SOURCE_SCORE.png`, `selectivity.png`, `sensitivity.html`, `sensitivity.txt`
    and, last of all, `sensitivity.json`: where it is, all are."""
    for name in PICTURED:
        for s, source in enumerate(found.routing.sources):
            if name in found.scores:
                file = f"heatmap_{source.replace(':', '-')}_{name}.png"
                _save(heatmap(found, name, s), out / file)
    plot = selectivity_plot(found)
    if plot is not None:
        _save(plot, out / "selectivity.png")
    write_text(out / "sensitivity.txt", text_table(found) + "\n")
    write_text(out / "sensitivity.html", render_page(found, command))
    write_json(out / "sensitivity.json", as_json(found) | {"command": command})


def _save(drawing: Drawing, path: Path) -> None:
    with atomic_file(path) as temporary:
        drawing.picture().save(temporary, "PNG", optimize=True)
