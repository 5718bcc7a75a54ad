"""The routing as a grid of cells that people switch off and on again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from facecond.errors import UserError, quoted
from facecond.models.routing import Routing, Rule

EDITED = "edited in the studio"


def grid(trained: Routing) -> dict[str, Any]:
    """Sources and layers in order of execution, with the state of each cell, as JSON values."""
    rows = [
        {
            "id": layer.id,
            "stage": layer.stage,
            "resolution": layer.resolution,
            "cells": states,
            "words": [trained.cell(row, source) for source in trained.sources],
        }
        for row, (layer, states) in enumerate(zip(trained.layers, trained.states(), strict=True))
    ]
    return {"name": trained.name, "sources": list(trained.sources), "layers": rows}


def without(trained: Routing, off: Sequence[tuple[str, str]]) -> Routing:
    """The trained routing with these cells (layer id, source) switched off.

    Raises:
        UserError: a cell that the model does not have on.
    """
    if not off:
        return trained
    states = {
        (layer.id, source): state
        for layer, row in zip(trained.layers, trained.states(), strict=True)
        for source, state in zip(trained.sources, row, strict=True)
    }
    for cell in off:
        if states.get(cell) != "on":
            what = f"there is no trained cell {quoted(cell[1])} at {quoted(cell[0])}"
            raise UserError(what, "routing", "Reload the page.")
    dark = set(off)
    rules = tuple(_dimmed(rule, dark) for rule in trained.rules)
    return replace(trained, name=f"{trained.name}, {EDITED}", rules=rules)


def _dimmed(rule: Rule, dark: set[tuple[str, str]]) -> Rule:
    """The rule with scale 0 at the cells named."""
    if not any((layer, rule.source) in dark for layer in rule.layers):
        return rule
    scales = tuple(
        0.0 if (layer, rule.source) in dark else scale
        for layer, scale in zip(rule.layers, rule.scales, strict=True)
    )
    return replace(rule, scale=scales)
