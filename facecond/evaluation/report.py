"""Rows, pictures and curves -> `report.html`: one page that opens as a file, without network."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from facecond.evaluation.curves import curve_charts
from facecond.evaluation.diagram import STAGES, flow_diagram
from facecond.evaluation.reference_showcase import tiles
from facecond.evaluation.report_parts import (
    Examples,
    FromReferences,
    PartialMasks,
    Report,
    Routing,
    SharedAttributes,
    Toggles,
)
from facecond.evaluation.score_sections import (
    changes,
    comparisons,
    failures,
    group_audit,
    judge_dependence,
    neighbours,
    notes,
    scores,
    words_of,
)
from facecond.figures import html_page, html_table, html_tiles, svg_heatmap
from facecond.storage import write_text

Array = np.ndarray


def write_report(path: str | Path, report: Report) -> None:
    """Write the page atomically."""
    write_text(path, render_report(report))


def render_report(report: Report) -> str:
    """The page as HTML. It loads nothing: pictures, styles and charts are inside."""
    lead = html.escape(report.introduction) + _warnings(report.warnings)
    lead += _headline(report.rows)
    sections = [
        ("How it works", _how(report)),
        ("Condition, real, sampled", _examples(report.examples)),
        ("One mask, one attribute off and on", _toggles(report.toggles)),
        ("One set of attributes, several masks", _shared(report.shared)),
        ("A mask that leaves regions open", _partial(report.partial)),
        ("What is taken from a reference face", _taken(report.taken)),
        ("Several samples of one condition", _diverse(report.diverse)),
        ("Scores", scores(report.rows)),
        ("What changes when one attribute is turned on", changes(report.changes, report.rows)),
        ("By group", group_audit(report.rows)),
        ("How much it depends on the judge", judge_dependence(report.rows)),
        ("Where it fails", failures(report.failures, report.wrong_attributes)),
        ("Nearest pictures of the training", neighbours(report.neighbours)),
        ("Beside published figures", comparisons(report.comparisons)),
        ("Notes", notes(report.rows, report.notes)),
        ("Learning curves", curve_charts(report.curves)),
        ("Which source reaches which layer", _routing(report.routing)),
        ("Where this comes from", _provenance(report)),
    ]
    return html_page(report.title, lead, [(name, body) for name, body in sections if body])


def _warnings(warnings: Sequence[str]) -> str:
    style = "border-left:4px solid var(--c2);padding-left:.8rem"
    return "".join(
        f'<p class="warning" style="{style}"><b>Warning:</b> {html.escape(warning)}.</p>'
        for warning in warnings
    )


def _headline(rows: Sequence[Mapping[str, Any]]) -> str:
    words = {"mask_miou": "mask mIoU", "attribute_bacc": "attribute balanced accuracy"}
    items = []
    for row in (row for row in rows if row["score"] is not None):
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
    labels = [words_of(text) for text in part.attributes]
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
    return f"<p>The attributes are: {html.escape(words_of(part.attributes))}.</p>{tiles}"


def _partial(part: PartialMasks | None) -> str:
    if part is None or not len(part.samples):
        return ""
    grid: list[list[Array | None]] = [
        [mask, *samples] for mask, samples in zip(part.masks, part.samples, strict=True)
    ]
    head = ["mask", *_seeds(part.samples.shape[1])]
    note = "Grey means anything: painted regions are kept, the open ones differ from seed to seed."
    return f"<p>{note}</p>{html_tiles(grid, column_labels=head)}"


def _taken(part: FromReferences | None) -> str:
    if part is None or not len(part.references):
        return ""
    rows, head = tiles(part)
    note = (
        "The first pairs of the test split. <i>Without it</i> and <i>its appearance</i> have the "
        "mask and the geometry of the face beside it; <i>its geometry</i> has no mask, and the "
        "attributes of appearance of that face, which stand before the row; <i>both</i> has "
        "nothing but the reference. Truths are known of rendered faces alone."
    )
    labels = [words_of(text) for text in part.words]
    return f"<p>{note}</p>{html_tiles(rows, row_labels=labels, column_labels=head)}"


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
    commands = "\n".join(html.escape(command) for command in report.commands)
    return "".join(body) + (f"<pre>{commands}</pre>" if commands else "")


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(part)}" for key, part in value.items()) or "–"
    text = str(value)
    return text[:16] if len(text) == 64 and set(text) <= set("0123456789abcdef") else text


def _diverse(part: Examples | None) -> str:
    if part is None or not len(part.samples):
        return ""
    grid: list[list[Array | None]] = [
        [mask, *samples] for mask, samples in zip(part.masks, part.samples, strict=True)
    ]
    head = ["condition", *_seeds(part.samples.shape[1])]
    labels = [words_of(text) for text in part.attributes]
    note = "Mask and attributes stay, the noise changes."
    return f"<p>{note}</p>{html_tiles(grid, row_labels=labels, column_labels=head)}"


def _seeds(count: int) -> list[str]:
    return [f"seed {i + 1}" for i in range(count)]
