"""The report: every part appears when it is given, and the page stands alone."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from facecond import metrics
from facecond.evaluation import report_parts as shown
from facecond.evaluation.published import Setting, compare
from facecond.evaluation.report import render_report, write_report
from facecond.evaluation.report_parts import Report
from facecond.evaluation.rows import attribute_rows, frechet_rows, mask_rows, scored_attributes
from facecond.evaluation.score_sections import differing
from facecond.labels import ATTRIBUTES

SIDE = 16


@pytest.fixture
def full() -> Report:
    generator = np.random.default_rng(0)

    def faces(*shape: int) -> np.ndarray:
        return generator.integers(0, 256, (*shape, SIDE, SIDE, 3)).astype(np.uint8)

    def masks(count: int) -> np.ndarray:
        return generator.integers(0, 19, (count, SIDE, SIDE)).astype(np.uint8)

    truth = generator.integers(0, 2, (40, 40)).astype(np.int8)
    truth[:, 2] = -1
    hits = metrics.attribute_counts(truth, truth == 1)
    counts = metrics.mask_counts(masks(4), masks(4))
    features = [generator.normal(size=(20, 3)) for _ in range(4)]
    pixels = np.tile(np.array([[3, 4]]), (4, 1))
    triple, shares = (counts, counts + 1, counts), (pixels, pixels, pixels)
    rows = [
        *mask_rows([triple, triple], [shares], 0),
        *attribute_rows([(hits, hits, hits[::-1])], scored_attributes(hits, [hits], 0), 0),
        *frechet_rows(*features, 0),
    ]
    rows += [row | {"metric": f"{row['metric']}@Male", "group": "Male"} for row in rows[:2]]
    setting = Setting("rendered", "", 9, 4, 64, "judge", None, 4, True)
    layers = [{"id": f"{s}.0", "stage": s, "resolution": 8} for s in ("down", "mid", "up")]
    gates = np.array([[0.0, 1.0], [1.0, 1.0], [1.0, 0.0]])
    return Report(
        title="A test",
        introduction="Made <here>.",
        rows=rows,
        examples=shown.Examples(
            masks(2), ["Smiling,-Male", "Bald"], faces(2), faces(2, 3), masks(2)
        ),
        toggles=shown.Toggles(masks(1)[0], ["Smiling", "Big_Nose"], faces(2), faces(2)),
        shared=shown.SharedAttributes("Smiling", masks(3), faces(3)),
        partial=shown.PartialMasks(np.full((1, SIDE, SIDE), 255, np.uint8), faces(1, 4)),
        diverse=shown.Examples(masks(2), ["Bald", "Male"], faces(2), faces(2, 3)),
        changes=shown.ChangeMap(
            ["Bald", "Male", "Young"],
            ["Bald", "Male", "Young", "Smiling"],
            generator.uniform(-1, 1, (3, 4)),
        ),
        failures=shown.FaceFailures(
            masks(2), faces(2), faces(2), masks(2), ["IoU 0.20: hat 0.00", "IoU 0.30: hair 0.10"]
        ),
        wrong_attributes=shown.AttributeFailures(
            ["Bald: 0.51 of 0.99", "Big Nose: 0.60 of 0.80"],
            [faces(2), faces(1)],
            [faces(0), faces(3)],
        ),
        neighbours=shown.Neighbours(faces(3), faces(3), [0.1, 0.2, 0.3], 1.5),
        comparisons=compare(rows, setting),
        notes=["the judges share <seed 1>"],
        curves=[
            {"step": s, "loss": 1 / s, "images_per_second": 9.0, "loss_by_bin": [1.0 / s] * 10}
            for s in range(1, 9)
        ],
        routing=shown.Routing(layers, ["attributes", "mask"], gates),
        token_counts={"mask": 83, "attributes": 40},
        seconds={"train": 100.0, "evaluate": 20.0},
        commands=["facecond demo"],
        provenance={"seed": 0, "model": "ab" * 32},
    )


class Checker(HTMLParser):
    """Notes what a page loads, and that its tags close in order."""

    VOID = frozenset({"meta", "img", "image", "line", "circle", "rect", "polyline", "path"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.pictures = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("src", "href", "srcset", "action", "data"):
                self.loads.append(value or "")
        self.pictures += tag == "img"
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def headings(page: str) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", page)


def test_the_page_loads_nothing_and_closes_its_tags(full: Report, tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", full)
    page = (tmp_path / "report.html").read_text("utf-8")
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    control = 2 * (1 + 1 + 3 + 1) + (1 + 2 + 2) + (3 + 3) + (1 + 4)
    scores = 2 * (1 + 3) + 2 * 5 + (2 + 1 + 3) + (3 + 3)
    assert checker.pictures == control + scores
    assert all(load.startswith("data:image/png;base64,") for load in checker.loads)
    assert not re.search(r"https?://|<script|<link|@import|url\((?!#)", page)
    assert "Made &lt;here&gt;." in page


def test_warnings_stand_above_all_else(full: Report) -> None:
    page = render_report(replace(full, warnings=["they share <all>", "and more"]))
    assert page.count('class="warning"') == 2 and "they share &lt;all&gt;." in page
    assert page.index('class="warning"') < page.index('<ul class="figures">') < page.index("<h2>")
    assert 'class="warning"' not in render_report(full)


def test_every_part_is_there(full: Report) -> None:
    page = render_report(full)
    assert headings(page) == [
        "How it works",
        "Condition, real, sampled",
        "One mask, one attribute off and on",
        "One set of attributes, several masks",
        "A mask that leaves regions open",
        "Several samples of one condition",
        "Scores",
        "What changes when one attribute is turned on",
        "By group",
        "How much it depends on the judge",
        "Where it fails",
        "Nearest pictures of the training",
        "Beside published figures",
        "Notes",
        "Learning curves",
        "Which source reaches which layer",
        "Where this comes from",
    ]
    texts = [
        "smiling, no male", "big nose", "mask: 83 tokens", "0.8–1.0", "abababababababab", "120 s",
        "facecond demo", "Attractive", "&lt;seed 1&gt;", "without Inception there is no FID",
        "IoU 0.20: hat 0.00", "Big Nose: 0.60 of 0.80", "1.50 away", "not seen",
    ]  # fmt: skip
    for text in texts:
        assert text in page, text
    assert f"{full.rows[0]['score']:.3f}" in page


def test_parts_that_are_missing_leave_no_trace(full: Report) -> None:
    scores = Report("Only scores", "Nothing else.", full.rows)
    assert headings(render_report(scores)) == [
        "Scores",
        "By group",
        "How much it depends on the judge",
        "Notes",
    ]
    no_curves = render_report(replace(full, curves=[], toggles=None))
    assert "Learning curves" not in headings(no_curves)
    assert "One mask, one attribute off and on" not in headings(no_curves)


def test_the_map_of_changes_puts_appearance_first(full: Report) -> None:
    page = render_report(full)
    titles = re.findall(r"<title>(\w+) on: (\w+) ([+-]\d\.\d\d)</title>", page)
    order = ("Male", "Young", "Bald")  # a mask shows who is bald
    assert [name for name, read, _ in titles if read == "Smiling"] == list(order)
    assert [read for name, read, _ in titles if name == "Bald"] == [*order, "Smiling"]
    assert full.changes is not None
    for name, read, value in titles:
        row, column = full.changes.turned.index(name), full.changes.read.index(read)
        assert float(value) == pytest.approx(full.changes.change[row, column], abs=0.0051)


def test_only_known_pixels_differ() -> None:
    image = np.full((2, 2, 3), 100, np.uint8)
    mask = np.array([[1, 1], [255, 2]], np.uint8)
    shown = differing(image, mask, np.array([[1, 3], [3, 2]], np.uint8))
    red = (shown[..., 0].astype(int) - shown[..., 2]) > 50
    assert red.tolist() == [[False, True], [False, False]]


def test_the_diagram_shows_the_routing(full: Report) -> None:
    page = render_report(full)
    hollow = re.findall(r'<circle[^>]*r="6" fill="none"', page)
    assert len(hollow) == 4  # two down blocks without attributes, two up blocks without mask
    open_routing = replace(full, routing=None)
    assert not re.findall(r'<circle[^>]*r="6" fill="none"', render_report(open_routing))


def test_describe_names_what_is_seen() -> None:
    values = np.full(40, -1, np.int8)
    for name in ("Smiling", "Eyeglasses", "Attractive"):
        values[ATTRIBUTES.index(name)] = 1
    values[ATTRIBUTES.index("Bald")] = 0
    assert shown.describe(values) == "Eyeglasses,Smiling"
    assert shown.describe(values, limit=1) == "Eyeglasses"
