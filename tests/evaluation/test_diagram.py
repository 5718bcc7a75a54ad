"""The flow diagram: well-formed, alone on its page, and true of the routing it is given."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np

from facecond.evaluation.diagram import STAGES, flow_diagram

MASK = np.full((8, 8), 13, np.uint8)
FACE = np.full((8, 8, 3), 120, np.uint8)
SVG = "{http://www.w3.org/2000/svg}"


def drawn(**options: object) -> ElementTree.Element:
    page = flow_diagram(MASK, ["Smiling", "-Bald", "a<b"], FACE, **options)  # type: ignore[arg-type]
    return ElementTree.fromstring(page)


def dots(root: ElementTree.Element) -> list[str]:
    """Fill of the dots in the denoiser's blocks, in the order drawn: mask, attributes by block."""
    return [c.attrib["fill"] for c in root.iter("circle") if "stroke" in c.attrib]


def test_pictures_are_embedded_and_nothing_is_loaded() -> None:
    hrefs = [image.attrib["href"] for image in drawn().iter("image")]
    assert len(hrefs) == 2
    assert all(href.startswith("data:image/png;base64,") for href in hrefs)


def test_attributes_are_read_out_and_escaped() -> None:
    words = ["".join(text.itertext()) for text in drawn().iter("text")]
    assert {"smiling", "no bald", "a<b"} <= set(words)


def test_dots_are_hollow_where_the_routing_keeps_a_source_out() -> None:
    assert "none" not in dots(drawn())
    routing = {stage: {"mask": stage != "up", "attributes": stage == "up"} for stage in STAGES}
    filled = [fill != "none" for fill in dots(drawn(routing=routing))]
    down, mid, up = [True, False], [True, False], [False, True]
    assert filled == [*down, *down, *mid, *up, *up]


def test_token_counts_are_shown_where_they_are_known() -> None:
    def words(root: ElementTree.Element) -> str:
        return " ".join("".join(text.itertext()) for text in root.iter("text"))

    assert "mask: 275 tokens" in words(drawn(token_counts={"mask": 275}))
    assert "275" not in words(drawn())
