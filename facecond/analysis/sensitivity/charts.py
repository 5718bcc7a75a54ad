"""Heatmaps layers x tau of one score and source; attributes against mask, layer by layer."""

from __future__ import annotations

import numpy as np

from facecond import metrics
from facecond.analysis.sensitivity.analyse import FACTORS, Sensitivity
from facecond.analysis.sensitivity.drawing import FONT, Drawing
from facecond.analysis.sensitivity.result import layer_labels
from facecond.analysis.sensitivity.scores import PRIMARY

LETTER = 0.54 * FONT
"""Mean width of a letter."""
CELL_WIDTH, CELL_HEIGHT, GAP, TOP = 62, 22, 2, 46
SOURCE_COLOURS = {"attributes": "c2", "mask": "c1"}
REACH = 190
"""Length of the longest bar of the selectivity plot."""


def heatmap(found: Sensitivity, name: str, s: int) -> Drawing:
    """One score of one source: layers from the input (top) to the output, noise from tau 0 (left)
    to 1, and all bins together.

    The colour is the distance from chance. Hatched: not significant (q >= 0.05). Empty: the gate
    is 0.
    """
    score, labels = found.scores[name], layer_labels(found)
    strength, bounds = score.strength[s], found.options.tau_bins()
    q = score.q[s] if score.q is not None else np.zeros(strength.shape)
    overall_q = score.overall_q[s] if score.overall_q is not None else np.zeros(len(labels))
    representation = score.p95 is not None and score.control is None
    left = 12 + LETTER * max(map(len, labels))
    columns = [f"{low:.2g}-{high:.2g}" for low, high in bounds]
    width = left + (len(columns) + 1) * CELL_WIDTH + 18
    drawing = Drawing(width, TOP + len(labels) * CELL_HEIGHT + 26)
    drawing.text(8, 16, f"{found.routing.sources[s]}: {title_of(name)}", colour="ink")
    drawing.text(left, TOP - 8, "tau", "end")
    for c, text in enumerate([*columns, "all"]):
        drawing.text(_column(left, c, len(columns)) + CELL_WIDTH / 2, TOP - 8, text, "middle")
    largest = max(float(strength.max(initial=0.0)), 1e-12)
    colour = SOURCE_COLOURS.get(found.routing.sources[s].split(":")[0], "c1")
    overall = score.overall[s]
    for r, label in enumerate(labels):
        y = TOP + r * CELL_HEIGHT
        drawing.text(left - 8, y + 15, label, "end")
        shown = score.null - overall[r] if score.lower else overall[r] - score.null
        values = [*zip(score.cells[s, r], strength[r], q[r], strict=True)]
        values.append((overall[r], shown, overall_q[r]))
        live = [*found.live[s, r], found.live[s, r].any()]
        if representation:  # what a layer carries may come from the layers before it
            live = [bool(found.live[s].any())] * len(live)
        for c, (value, strong, chance) in enumerate(values):
            x = _column(left, c, len(columns))
            place = (x + GAP / 2, y + GAP / 2, CELL_WIDTH - GAP, CELL_HEIGHT - GAP)
            drawing.box(*place, edge="line")
            if not live[c]:
                continue
            share = min(max(float(strong) / largest, 0.0), 1.0)
            where = columns[c] if c < len(columns) else "all"
            title = f"{label}, tau {where}: {value:.4f}, q {chance:.3f}"
            drawing.box(*place, fill=colour, opacity=0.85 * share, title=title)
            if chance >= metrics.SIGNIFICANT:
                drawing.hatch(*place)
            ink = "card" if share > 0.6 else "ink"
            drawing.text(x + CELL_WIDTH / 2, y + 15, _short(float(value)), "middle", ink)
    note = "hatched: no better than chance (q >= 0.05); empty: gate 0"
    drawing.text(8, drawing.height - 8, note)
    return drawing


def selectivity_plot(found: Sensitivity) -> Drawing | None:
    """`swap` of the mask (left) against that of the attributes (right), a row per layer, with 95 %
    intervals; hatched where a layer does not beat its control. None where one is no source."""
    if found.selectivity is None:
        return None
    swap, labels = found.scores[PRIMARY], layer_labels(found)
    assert swap.overall_q is not None
    assert swap.overall_low is not None and swap.overall_high is not None
    places = {source: found.routing.sources.index(source) for source in FACTORS}
    label_width = 20 + LETTER * max(map(len, labels))
    centre = 30 + REACH + label_width / 2
    drawing = Drawing(2 * centre + 60, TOP + len(labels) * CELL_HEIGHT + 26)
    longest = max(float(swap.overall_high[list(places.values())].max()), 1e-12)
    drawing.text(8, 16, "share of the effect of a swap at all layers", colour="ink")
    drawing.text(centre - label_width / 2, TOP - 8, "mask", "end", "c1")
    drawing.text(centre + label_width / 2, TOP - 8, "attributes", "start", "c2")
    drawing.text(drawing.width - 8, TOP - 8, "z", "end")
    for r, label in enumerate(labels):
        y = TOP + r * CELL_HEIGHT
        drawing.text(centre, y + 15, label, "middle")
        for source, side in (("mask", -1), ("attributes", 1)):
            s, start = places[source], centre + side * label_width / 2
            value, low, high = (
                REACH * float(part[s, r]) / longest
                for part in (swap.overall, swap.overall_low, swap.overall_high)
            )
            place = (min(start, start + side * value), y + 4, value, CELL_HEIGHT - 8)
            title = f"{label}, {source}: {swap.overall[s, r]:.3f}"
            drawing.box(*place, fill=SOURCE_COLOURS[source], opacity=0.75, title=title)
            if swap.overall_q[s, r] >= metrics.SIGNIFICANT and value > 0:
                drawing.hatch(*place)
            middle = y + CELL_HEIGHT / 2
            drawing.line(start + side * low, middle, start + side * high, middle, "ink")
        z = f"{found.selectivity[r]:+.2f}"
        drawing.text(drawing.width - 8, y + 15, z, "end")
    drawing.line(8, drawing.height - 22, drawing.width - 8, drawing.height - 22)
    note = "z: attributes less mask, each as a z-score over the layers; lines: 95 % intervals"
    drawing.text(8, drawing.height - 8, note)
    return drawing


def title_of(name: str) -> str:
    """A score's name in words."""
    words = name.removesuffix("_cross").replace("_", " ").replace("jsd", "JSD")
    return words + (" in the queries of cross-attention" if name.endswith("_cross") else "")


def _column(left: float, c: int, bins: int) -> float:
    return left + c * CELL_WIDTH + (8 if c == bins else 0)


def _short(value: float) -> str:
    return f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3f}"
