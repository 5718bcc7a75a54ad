"""Rows, pictures and curves -> `report.html`: one page that opens as a file, without network."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from facecond.evaluation.curves import curve_charts
from facecond.evaluation.diagram import STAGES, flow_diagram
from facecond.evaluation.rows import cells
from facecond.figures import (
    html_page,
    html_table,
    html_tiles,
    svg_bars,
    svg_heatmap,
)
from facecond.labels import ATTRIBUTES, PRESENT
from facecond.storage import write_text

Array = np.ndarray

_TELLING = (
    "Eyeglasses", "Wearing_Hat", "Bald", "Blond_Hair", "Gray_Hair", "Black_Hair", "Brown_Hair",
    "Mustache", "Goatee", "Smiling", "Bangs", "Wearing_Lipstick", "Rosy_Cheeks", "Pale_Skin",
    "Wearing_Earrings", "Wearing_Necklace", "Wearing_Necktie", "Wavy_Hair", "Straight_Hair",
)  # fmt: skip
"""Attributes that tell one face from another at a glance, the clearest first."""


@dataclass
class Examples:
    """Test conditions, the real pictures they come from, and samples."""

    masks: Array
    """uint8 [k, S, S]."""
    attributes: Sequence[str]
    """For each condition a few names, comma separated, a minus before the absent ones."""
    real: Array
    """uint8 [k, S, S, 3]."""
    samples: Array
    """uint8 [k, m, S, S, 3]: m seeds for each condition."""
    parsed: Array | None = None
    """uint8 [k, S, S]: what the parser sees in the first sample."""


@dataclass
class Toggles:
    """One mask and seed; each attribute once off and once on."""

    mask: Array
    names: Sequence[str]
    off: Array
    """uint8 [t, S, S, 3]."""
    on: Array


@dataclass
class SharedAttributes:
    """One set of attributes over several masks."""

    attributes: str
    masks: Array
    samples: Array
    """uint8 [k, S, S, 3]."""


@dataclass
class PartialMasks:
    """Masks with open regions (255), several seeds each."""

    masks: Array
    samples: Array
    """uint8 [k, m, S, S, 3]."""


@dataclass
class Routing:
    """Which source reaches which layer, layers in the order of execution."""

    layers: Sequence[Mapping[str, Any]]
    """`{id, stage, resolution}`; stage is down, mid or up."""
    sources: Sequence[str]
    gates: Array
    """float [layers, sources]; 0 = off."""


@dataclass
class Report:
    """What the page shows; parts that are None or empty are left out."""

    title: str
    introduction: str
    """One or two plain sentences."""
    rows: Sequence[Mapping[str, Any]]
    examples: Examples | None = None
    toggles: Toggles | None = None
    shared: SharedAttributes | None = None
    partial: PartialMasks | None = None
    curves: Sequence[Mapping[str, Any]] = ()
    """Log of the training: `step`, `loss`, and if known `images_per_second` and `loss_by_bin`, a
    list over equal bins of the noise level from 0 to 1 (None where nothing fell into a bin)."""
    routing: Routing | None = None
    token_counts: Mapping[str, int] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Wall time by stage."""
    commands: Sequence[str] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)


def describe(attributes: Array, limit: int = 4) -> str:
    """int8 [40] -> its most telling present attributes, comma separated, at most `limit`."""
    present = [name for name in _TELLING if attributes[ATTRIBUTES.index(name)] == PRESENT]
    return ",".join(present[:limit])


def write_report(path: str | Path, report: Report) -> None:
    """Write the page atomically."""
    write_text(path, render_report(report))


def render_report(report: Report) -> str:
    """The page as HTML. It loads nothing: pictures, styles and charts are inside."""
    lead = html.escape(report.introduction) + _headline(report.rows)
    sections = [
        ("How it works", _how(report)),
        ("Condition, real, sampled", _examples(report.examples)),
        ("One mask, one attribute off and on", _toggles(report.toggles)),
        ("One set of attributes, several masks", _shared(report.shared)),
        ("A mask that leaves regions open", _partial(report.partial)),
        ("Scores", _scores(report.rows)),
        ("Learning curves", curve_charts(report.curves)),
        ("Which source reaches which layer", _routing(report.routing)),
        ("Where this comes from", _provenance(report)),
    ]
    return html_page(report.title, lead, [(name, body) for name, body in sections if body])


def _headline(rows: Sequence[Mapping[str, Any]]) -> str:
    words = {"mask_miou": "mask mIoU", "attribute_bacc": "attribute balanced accuracy"}
    items = []
    for row in rows:
        if row["metric"] in words:
            way = f"{row['share']:.0%} of the way from " if row.get("share") is not None else ""
            note = f"{way}floor {row['floor']:.2f} to ceiling {row['ceiling']:.2f}"
            items.append((f"{row['score']:.3f}", words[row["metric"]], note))
        if row["metric"] == "frechet_judge":
            note = f"first-stage reconstructions: {row['ceiling']:.2f}; lower is better"
            items.append((f"{row['score']:.2f}", "Fréchet distance, judge features", note))
    cards = "".join(
        f"<li><span>{html.escape(name)}</span><b>{value}</b><span>{html.escape(note)}</span></li>"
        for value, name, note in items
    )
    return f'<ul class="figures">{cards}</ul>' if cards else ""


def _how(report: Report) -> str:
    if report.examples is None or not len(report.examples.samples):
        return ""
    reaches = None
    if report.routing is not None:
        reaches = {stage: dict.fromkeys(report.routing.sources, False) for stage in STAGES}
        for layer, gates in zip(report.routing.layers, report.routing.gates, strict=True):
            for source, gate in zip(report.routing.sources, gates, strict=True):
                reaches[str(layer["stage"])][source] |= bool(gate != 0)
    first = report.examples
    names = [name.strip() for name in first.attributes[0].split(",") if name.strip()]
    picture = flow_diagram(first.masks[0], names, first.samples[0, 0], reaches, report.token_counts)
    return (
        "<p>A mask and attributes become two streams of tokens. Each layer of the denoiser attends "
        "to the streams that the routing lets through. Mask, attributes and face below belong "
        f"together: they are the first test condition and a sample of it.</p>{picture}"
    )


def _examples(part: Examples | None) -> str:
    if part is None or not len(part.samples):
        return ""
    seeds = part.samples.shape[1]
    head = ["condition", "real", *(["sampled"] if seeds == 1 else _seeds(seeds))]
    grid: list[list[Array | None]] = []
    for i in range(len(part.samples)):
        row: list[Array | None] = [part.masks[i], part.real[i], *part.samples[i]]
        grid.append(row)
    if part.parsed is not None:
        head.append("parsed" if seeds == 1 else "parsed (1)")
        for i, row in enumerate(grid):
            row.append(part.parsed[i])
    labels = [_words(text) for text in part.attributes]
    note = (
        "Conditions of the test split, which training leaves out. The real picture is shown "
        "for comparison; the model gets only the mask and the attributes."
    )
    tiles = html_tiles(grid, row_labels=labels, column_labels=head)
    return f"<p>{note}</p>{tiles}"


def _toggles(part: Toggles | None) -> str:
    if part is None or not len(part.names):
        return ""
    names = [name.replace("_", " ").lower() for name in part.names]
    grid: list[list[Array | None]] = [[part.mask, *part.off], [None, *part.on]]
    tiles = html_tiles(grid, row_labels=["off", "on"], column_labels=["mask", *names])
    note = "Mask, seed and all other attributes stay; one attribute changes from row to row."
    return f"<p>{note}</p>{tiles}"


def _shared(part: SharedAttributes | None) -> str:
    if part is None or not len(part.samples):
        return ""
    grid: list[list[Array | None]] = [list(part.masks), list(part.samples)]
    tiles = html_tiles(grid, row_labels=["mask", "sampled"])
    return f"<p>The attributes are: {html.escape(_words(part.attributes))}.</p>{tiles}"


def _partial(part: PartialMasks | None) -> str:
    if part is None or not len(part.samples):
        return ""
    grid: list[list[Array | None]] = [
        [mask, *samples] for mask, samples in zip(part.masks, part.samples, strict=True)
    ]
    head = ["mask", *_seeds(part.samples.shape[1])]
    note = "Grey means anything: painted regions are kept, the open ones differ from seed to seed."
    return f"<p>{note}</p>{html_tiles(grid, column_labels=head)}"


def _scores(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    head = ["metric", "score", "95% interval", "floor", "ceiling", "share of the way", "n"]
    body = [
        "<p>Ceiling: the real test pictures through the same judge (for the Fréchet distance: "
        "first-stage reconstructions, and lower is better). Floor: the same samples scored against "
        "the conditions of other faces. The Fréchet distance compares features of the attribute "
        "judge with real pictures of the training split; it is not an FID.</p>",
        html_table(head, [cells(row) for row in rows]),
    ]
    titles = {
        "mask_miou": ("IoU by mask class", 0.0),
        "attribute_bacc": ("Balanced accuracy by attribute", 0.4),
    }
    charts = []
    for row in rows:
        if row["metric"] in titles and row.get("detail"):
            title, start = titles[row["metric"]]
            charts.append(f"<div><h3>{title}</h3>{svg_bars(row['detail'], start=start)}</div>")
    if charts:
        body.append(f'<div class="pair">{"".join(charts)}</div>')
        body.append(
            '<p class="note">Bar: score. Tick across its end: ceiling. Coloured tick: floor '
            "(chance is 0.5 for balanced accuracy).</p>"
        )
    skipped: Sequence[str] = next((row["skipped"] for row in rows if row.get("skipped")), [])
    if skipped:
        names = ", ".join(name.replace("_", " ") for name in skipped)
        body.append(f'<p class="note">Not scored (not known here, or too rare): {names}.</p>')
    return "".join(body)


def _routing(part: Routing | None) -> str:
    if part is None or not len(part.layers):
        return ""
    labels = [
        f"{layer['stage']}  {layer['resolution']}×{layer['resolution']}  {layer['id']}"
        for layer in part.layers
    ]
    grid = svg_heatmap(part.gates, row_labels=labels, column_labels=part.sources)
    note = "Cross-attention layers in the order of execution, and the gate of each source."
    return f"<p>{note}</p>{grid}"


def _provenance(report: Report) -> str:
    body = []
    if report.seconds:
        total = sum(report.seconds.values())
        rows = [(name, f"{value:.0f} s") for name, value in report.seconds.items()]
        body.append(html_table(["stage", "time"], [*rows, ("total", f"{total:.0f} s")]))
    if report.provenance:
        flat = [(str(key), _plain(value)) for key, value in report.provenance.items()]
        body.append(html_table([], flat))
    columns = f'<div class="pair">{"".join(f"<div>{part}</div>" for part in body)}</div>'
    commands = "\n".join(html.escape(command) for command in report.commands)
    return (columns if body else "") + (f"<pre>{commands}</pre>" if commands else "")


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(part)}" for key, part in value.items()) or "–"
    text = str(value)
    return text[:16] if len(text) == 64 and set(text) <= set("0123456789abcdef") else text


def _words(attributes: str) -> str:
    """`Smiling,-Eyeglasses` -> `smiling, no eyeglasses`."""
    names = [name.strip().replace("_", " ").lower() for name in attributes.split(",")]
    return ", ".join(f"no {name[1:]}" if name.startswith("-") else name for name in names if name)


def _seeds(count: int) -> list[str]:
    return [f"seed {i + 1}" for i in range(count)]
