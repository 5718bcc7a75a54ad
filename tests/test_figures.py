"""Figures: pixels where they belong, charts with every point, a page that needs nothing else."""

from __future__ import annotations

import base64
import io
import re
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from facecond import figures
from facecond.labels import PALETTE


def svg_of(fragment: str) -> ElementTree.Element:
    return ElementTree.fromstring(re.search(r"<svg.*</svg>", fragment, re.DOTALL).group())  # type: ignore[union-attr]


def test_image_grid_places_pictures_and_masks() -> None:
    red, mask = np.full((8, 8, 3), (200, 10, 10), np.uint8), np.full((8, 8), 13, np.uint8)
    grid = np.array(figures.image_grid([[red, None], [None, mask]], scale=3, gap=2))
    assert grid.shape == (2 + 2 * 26, 2 + 2 * 26, 3)
    assert (grid[2:26, 2:26] == (200, 10, 10)).all()
    assert (grid[28:52, 28:52] == PALETTE[13]).all()
    assert (grid[2:26, 28:52] == 255).all()
    labelled = figures.image_grid([[red]], row_labels=["a"], column_labels=["b"], scale=1)
    assert labelled.width > 16 and labelled.height > 16
    with pytest.raises(ValueError, match="at least one"):
        figures.image_grid([[None]])


def test_data_uri_holds_the_picture() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    uri = figures.png_data_uri(Image.fromarray(pixels))
    content = base64.b64decode(uri.removeprefix("data:image/png;base64,"))
    assert (np.array(Image.open(io.BytesIO(content))) == pixels).all()


def test_tiles_keep_their_order_and_gaps() -> None:
    face, mask = np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint8)
    grid = figures.html_tiles([[mask, face], [None, face]], row_labels=["<a>", "b"])
    kinds = re.findall(r'<img( class="crisp")? alt="(\w+)"', grid)
    assert kinds == [(' class="crisp"', "mask"), ("", "face"), ("", "face")]
    assert "&lt;a&gt;" in grid and "<a>" not in grid


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]), (0, 2000, [0, 500, 1000, 1500, 2000]), (3, 3, [3])],
)
def test_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    assert figures.ticks(low, high) == pytest.approx(expected)


def test_curves_draw_every_finite_point_in_place() -> None:
    series = {"a": ([0, 1, 2, 3], [1.0, float("nan"), 3.0, 2.0]), "b": ([0, 3], [2.0, 2.0])}
    svg = svg_of(figures.svg_curves(series, x_label="step", y_label="loss"))
    lines = [node.get("points", "").split() for node in svg.iter("polyline")]
    assert [len(line) for line in lines] == [3, 2]
    x, y = zip(*(map(float, point.split(",")) for point in lines[0]), strict=True)
    assert x[1] - x[0] == pytest.approx(2 * (x[2] - x[1]), abs=0.2)
    assert y[0] > y[2] > y[1]  # upwards on the page is a smaller y
    texts = [node.text for node in svg.iter("text")]
    assert {"step", "loss", "a", "b"} <= set(texts)
    assert "Nothing" in figures.svg_curves({"a": ([], [])}, x_label="x", y_label="y")


def test_bars_end_at_their_score_and_marks_stand_at_theirs() -> None:
    marks = {"score": 0.5, "ceiling": 1.0, "floor": 0.0}
    svg = svg_of(figures.svg_bars({"hair": marks, "hat": {"score": None, "ceiling": 0.5}}))
    bars = [node for node in svg.iter("rect") if node.get("class") == "bar"]
    assert len(bars) == 1
    left, width = float(bars[0].get("x", 0)), float(bars[0].get("width", 0))
    places = {
        n.get("class"): float(n.get("x1", 0))
        for n in svg.iter("line")
        if n.find("title") is not None
    }
    assert places["floor"] == pytest.approx(left)
    ceilings = [float(n.get("x1", 0)) for n in svg.iter("line") if n.get("class") == "ceiling"]
    assert ceilings == pytest.approx([left + 2 * width, left + width])


def test_heatmap_shows_each_value() -> None:
    matrix = np.array([[0.0, 1.0], [0.5, 0.0], [2.0, 1.0]])
    svg = svg_of(
        figures.svg_heatmap(matrix, row_labels=["x", "y", "z"], column_labels=["mask", "rest"])
    )
    fills = [float(n.get("fill-opacity", 0)) for n in svg.iter("rect") if n.get("fill-opacity")]
    assert fills == pytest.approx(list(matrix.ravel() / 2 * 0.85), abs=0.006)


def test_page_is_whole_and_alone() -> None:
    table = figures.html_table(["name", "value"], [["<b>", "1"]])
    page = figures.html_page("A & B", "<p>lead</p>", [("One", table), ("", "<p>more</p>")])
    assert page.startswith("<!DOCTYPE html>") and "A &amp; B" in page and "&lt;b&gt;" in page
    assert not re.search(r"https?://|<script|<link|@import|url\(", page)
    assert "prefers-color-scheme:dark" in page
    used = set(re.findall(r"var\((--[a-z0-9]+)\)", page)) - {"--columns"}
    assert used <= set(re.findall(r"(--[a-z0-9]+):", page))


def test_figures_need_no_torch() -> None:
    code = "import sys, facecond.figures; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
