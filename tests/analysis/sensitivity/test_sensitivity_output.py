"""The files of an analysis: what routing reads, pictures, page, table."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from facecond.analysis.sensitivity.analyse import Sensitivity
from facecond.analysis.sensitivity.charts import heatmap, selectivity_plot
from facecond.analysis.sensitivity.drawing import COLOURS, SCALE, Drawing
from facecond.analysis.sensitivity.output import write_results
from facecond.analysis.sensitivity.result import text_table
from facecond.models.routing import Layer
from facecond.models.routing.selectors import select
from facecond.pipeline import FacePipeline

GATES = {"attributes": [0, 0, 1, 0, 0.3, 0, 0], "mask": [1, 1, 0, 0, 0, 0, 0]}
IDS = range(7)


@pytest.fixture(scope="module")
def found(
    planted: Callable[..., FacePipeline], intervene: Callable[..., Sensitivity]
) -> Sensitivity:
    found = intervene(planted(GATES))
    found.provenance = {"schedule": "flow", "model": "0" * 64}
    found.seconds = {"swap": 1.0}
    return found


def test_routing_reads_the_ranks(
    found: Sensitivity, layers: tuple[Layer, ...], tmp_path: Path
) -> None:
    write_results(found, tmp_path, "facecond sensitivity MODEL")
    file = tmp_path / "sensitivity.json"
    ids = [layer.id for layer in layers]
    assert select(f"rank:{file}:attributes:top:0.14", layers, "here") == (ids[2],)
    assert select(f"rank:{file}:attributes:top:1.0", layers, "here") == (ids[2], ids[4])
    assert set(select(f"rank:{file}:mask:top:1.0", layers, "here")) == {ids[0], ids[1]}
    told = json.loads(file.read_text())
    assert told["schema"] == "facecond.sensitivity/1" and told["layers"] == ids
    assert told["sources"] == ["attributes", "mask"] and told["tau_bins"] == [[0, 0.5], [0.5, 1]]
    assert told["log_snr_bins"] == [[0.0, None], [None, 0.0]]  # flow: tau 0.5 is logSNR 0
    assert told["rank"]["attributes"] == [ids[2], ids[4]]
    assert len(told["order"]["attributes"]) == 7
    for part in ("scores", "p", "q", "low", "high"):
        assert np.shape(told[part]["swap"]["mask"]) == (7, 2)
    assert np.shape(told["p95"]["swap_single"]["mask"]) == (7, 2)
    assert told["scores"]["swap"]["mask"][3] == [0.0, 0.0]
    assert np.shape(told["overall"]["swap"]["mask"]["score"]) == (7,)
    assert told["split_half"]["swap"].keys() == {"attributes", "mask"}
    assert told["unstable"] == {"attributes": False, "mask": False}
    assert told["grid"] is None and told["warnings"] == []
    made = {path.name for path in tmp_path.iterdir()}
    pictures = {f"heatmap_{s}_{n}.png" for s in GATES for n in ("swap", "contribution")}
    assert made == pictures | {
        "selectivity.png", "sensitivity.html", "sensitivity.json", "sensitivity.txt",
    }  # fmt: skip
    page = (tmp_path / "sensitivity.html").read_text()
    assert page.count("<svg") == 5 and "http://" not in page and "src=" not in page


def test_the_table_names_ranks_and_leaves_out_what_is_off(found: Sensitivity) -> None:
    lines = text_table(found).splitlines()
    first, second = lines.index(next(x for x in lines if x.startswith("mask"))), len(lines)
    own = lines[1 : first - 1]
    assert [line.split()[-1] for line in own] == ["-", "-", "1", "-", "2", "-", "-"]
    assert "mid_block.attentions.0  4x4" in own[2] and second == 17


def test_cells_that_are_no_better_than_chance_are_hatched(found: Sensitivity) -> None:
    def lines(drawing: Drawing) -> int:
        return sum(kind == "line" for kind, _ in drawing.marks)

    assert lines(heatmap(found, "swap", 0)) == 0  # off cells are empty, on cells significant
    score = found.scores["swap"]
    assert score.q is not None
    kept = score.q[0, 2, 0]
    score.q[0, 2, 0] = 0.05
    assert lines(heatmap(found, "swap", 0)) > 5
    score.q[0, 2, 0] = kept


def test_empty_cells_have_no_number(found: Sensitivity) -> None:
    words = [mark["text"] for kind, mark in heatmap(found, "swap", 0).marks if kind == "text"]
    numbers = [word for word in words if word.replace(".", "").isdigit()]
    assert len(numbers) == 2 * 3  # two layers, two bins and all bins
    assert selectivity_plot(found) is not None


def test_a_drawing_is_the_same_thing_as_picture_and_as_svg() -> None:
    drawing = Drawing(100, 40)
    drawing.box(10, 10, 30, 20, fill="c1", title="a < b")
    drawing.box(60, 10, 30, 20, fill="c1", opacity=0.0)
    drawing.hatch(60, 10, 30, 20)
    drawing.text(5, 38, "<&>")
    svg = drawing.svg('of "x"')
    assert "<title>a &lt; b</title>" in svg and "&lt;&amp;&gt;" in svg and "&quot;x&quot;" in svg
    pixels = np.asarray(drawing.picture())
    assert pixels.shape == (40 * SCALE, 100 * SCALE, 3)
    colour = list(bytes.fromhex(COLOURS["c1"][1:]))
    assert (pixels[10 * SCALE : 30 * SCALE, 10 * SCALE : 40 * SCALE] == colour).all()
    hatched = (pixels[12 * SCALE : 28 * SCALE, 62 * SCALE : 88 * SCALE] != 255).any(-1).mean()
    assert 0.05 < hatched < 0.5
    outside = pixels[: 9 * SCALE]
    assert (outside == 255).all()
