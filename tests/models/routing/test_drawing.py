"""The picture of a routing: a cell's colour is its gate at that noise level."""

from __future__ import annotations

import numpy as np

from facecond.models.routing import Layer, Routing, Rule, Window, flow_log_snr
from facecond.models.routing.drawing import CELL, FULL, GAP, HEIGHT, draw

LAYERS = (Layer("a", "down", 16), Layer("b", "mid", 8))


def test_colour_is_the_gate_over_tau() -> None:
    late = Window.of_tau((0, 0.5), flow_log_snr)
    rules = (
        Rule("mask", ("a",), 2.0, window=late),
        Rule("mask", ("b",), 0.0),
        Rule("attributes", ("a",), 1.0),
    )
    image = draw(Routing("mine", LAYERS, rules))
    pixels = np.asarray(image)
    left = image.width - 12 - 2 * (CELL + GAP)

    def colour(row: int, column: int, tau: float) -> list[int]:
        x = left + column * (CELL + GAP) + int(tau * CELL)
        return pixels[44 + row * (HEIGHT + GAP) + 5, x].tolist()

    assert colour(0, 1, 0.2) == FULL.tolist()  # the strongest gate
    assert colour(0, 1, 0.8) == [255, 255, 255]  # outside its window
    half = (255 - 0.5 * (255 - FULL)).astype(int).tolist()
    assert colour(0, 0, 0.2) == half == colour(0, 0, 0.8)
    assert colour(1, 0, 0.3) == [255, 255, 255]  # absent
    off = pixels[44 + HEIGHT + GAP : 44 + 2 * HEIGHT + GAP, -12 - GAP - CELL : -12 - GAP]
    assert len(np.unique(off.reshape(-1, 3), axis=0)) > 1  # crossed out


def test_no_source_is_drawn_as_an_empty_table() -> None:
    assert draw(Routing("none", LAYERS, (), ())).width > 0
