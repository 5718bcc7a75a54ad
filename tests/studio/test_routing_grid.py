"""The grid of cells, and routings with some of them switched off."""

from __future__ import annotations

import numpy as np
import pytest

from facecond.errors import UserError
from facecond.models.routing import Layer, Routing, Rule, preset
from facecond.studio.routing_grid import EDITED, grid, without

LAYERS = (Layer("down", "down", 16), Layer("mid", "mid", 8), Layer("up", "up", 16))


def test_the_grid_says_which_cells_there_are() -> None:
    rules = (Rule("mask", ("down", "mid"), (1.0, 0.0)), Rule("attributes", ("mid", "up"), 0.5))
    found = grid(Routing("mine", LAYERS, rules))
    assert found["name"] == "mine" and found["sources"] == ["attributes", "mask"]
    cells = {row["id"]: row["cells"] for row in found["layers"]}
    assert cells == {"down": ["absent", "on"], "mid": ["on", "off"], "up": ["on", "absent"]}
    assert found["layers"][1]["words"] == ["0.50", "off"]


def test_cells_are_switched_off_and_nothing_else() -> None:
    trained = preset("all_all", LAYERS)
    edited = without(trained, [("mid", "mask"), ("up", "attributes")])
    expected = trained.gates().copy()
    expected[1, 1] = expected[2, 0] = 0
    assert np.array_equal(edited.gates(), expected)
    assert edited.name.endswith(EDITED)
    edited.check_within(trained)
    assert Routing.from_dict(edited.to_dict()) == edited


def test_no_cell_off_is_the_trained_routing() -> None:
    trained = preset("all_all", LAYERS)
    assert without(trained, []) is trained


def test_every_cell_may_be_off() -> None:
    trained = preset("all_all", LAYERS)
    cells = [(layer.id, source) for layer in LAYERS for source in trained.sources]
    assert not without(trained, cells).gates().any()


@pytest.mark.parametrize("cell", [("nowhere", "mask"), ("down", "attributes")])
def test_only_trained_cells_can_be_switched(cell: tuple[str, str]) -> None:
    rules = (Rule("mask", ("down",)), Rule("attributes", ("up",)))
    with pytest.raises(UserError, match="no trained cell"):
        without(Routing("mine", LAYERS, rules), [cell])
