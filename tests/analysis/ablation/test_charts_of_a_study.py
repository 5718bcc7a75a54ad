"""Charts: which points no other beats, and that every mark is drawn."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree

from facecond.analysis.ablation.charts import Gap, Point, best, forest, pareto


def point(name: str, x: float, y: float) -> Point:
    return Point(name, x, y, 0.01, 0.0, [(x - 0.01, y), (x + 0.01, y)], name == "a")


def test_the_front_is_what_no_other_beats_in_both() -> None:
    points = [point("a", 1, 1), point("b", 2, 0.5), point("c", 0.5, 2), point("d", 0.9, 0.9),
              point("e", 2, 0.4), point("f", 1, 1)]  # fmt: skip
    assert [p.name for p in best(points)] == ["c", "a", "f", "b"]


def test_every_variant_has_its_marks_and_its_name() -> None:
    points = [point("a", 0.5, 0.7), point("b & c", 0.5, 0.7), point("d", 0.9, 0.2)]
    svg = ElementTree.fromstring(pareto(points, "x", "y"))
    texts = [node.text for node in svg.iter("text")]
    assert {"a", "b & c", "d", "x", "y"} <= set(texts)
    assert len(list(svg.iter("circle"))) == 3 * 3
    places = {n.text: (n.get("x"), n.get("y")) for n in svg.iter("text") if n.get("class")}
    assert places["a"] != places["b & c"]  # names of equal points do not lie on one another
    alone = ElementTree.fromstring(pareto([point("a", 0.5, 0.5)], "x", "y"))
    assert "NaN" not in ElementTree.tostring(alone, "unicode")


def test_a_difference_without_an_interval_is_a_dot() -> None:
    gaps = [
        Gap("a", 0.1, 0.05, 0.15, [0.1, 0.1], True),
        Gap("b", -0.1, math.nan, math.nan, [], False),
    ]
    svg = forest(gaps, "score")
    parsed = ElementTree.fromstring(svg)
    assert len(list(parsed.iter("circle"))) == 4 and "nan" not in svg
    assert svg.count('stroke-width="2"') == 1
