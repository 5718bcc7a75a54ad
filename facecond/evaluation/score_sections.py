"""Sections of the report that show figures and what lies behind them, as HTML."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from facecond.evaluation import tables
from facecond.evaluation.charts import change_map
from facecond.evaluation.published import Comparison
from facecond.evaluation.report_parts import (
    AttributeFailures,
    ChangeMap,
    FaceFailures,
    Neighbours,
)
from facecond.figures import html_table, html_tiles, svg_bars
from facecond.labels import ANYTHING, APPEARANCE

Array = np.ndarray
Rows = Sequence[Mapping[str, Any]]

_CHARTS = {
    "mask_miou": ("IoU by mask class", 0.0),
    "attribute_bacc": ("Balanced accuracy by attribute", 0.4),
}
"""Metric -> title of its chart of details, and where its bars begin."""
_EFFECTS = {
    "Effect of attributes that a mask leaves open": True,
    "Effect of attributes that it shows": False,
}
_BARS = "Bar: score. Tick across its end: ceiling. Coloured tick: floor"


def scores(rows: Rows) -> str:
    """The table of scores with what they mean, and bars by class and by attribute."""
    if not rows:
        return ""
    parts = [f"<p>{html.escape(tables.READING)}</p>", _score_table(rows)]
    charts = [_chart(row) for row in rows if row["metric"] in ("mask_miou", "attribute_bacc")]
    if any(charts):
        parts.append(f'<div class="pair">{"".join(charts)}</div>')
        parts.append(f'<p class="note">{_BARS} (chance is 0.5 for balanced accuracy).</p>')
    return "".join(parts)


def _score_table(rows: Rows) -> str:
    """A line for each score under the question that its probe asks, with its meaning below it."""
    head, _ = tables.score_table(())
    body, question = "", ""
    for row in rows:
        if row["score"] is None or "group" in row:
            continue
        title = tables.TITLES.get(row.get("probe", ""), "")
        if title and title != question:
            body += f'<tr><th class="part" colspan="{len(head)}">{html.escape(title)}</th></tr>'
            question = title
        name, *figures = map(html.escape, tables.cells(row))
        meaning = f"<small>{html.escape(tables.meaning(row['metric']))}</small>"
        body += (
            f"<tr><th>{name}{meaning}</th>{''.join(f'<td>{cell}</td>' for cell in figures)}</tr>"
        )
    top = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    table = f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll">{table}</div>'


def _chart(row: Mapping[str, Any]) -> str:
    """Bars of a row's details; empty where there are none."""
    if not row.get("detail"):
        return ""
    title, start = _CHARTS[row["metric"]]
    return f"<div><h3>{title}</h3>{svg_bars(row['detail'], start=start)}</div>"


def judge_dependence(rows: Rows) -> str:
    """Both judges side by side; empty with one judge."""
    head, body = tables.judge_table(rows)
    if not body:
        return ""
    note = (
        "Two judges that differ in seed read the same pictures. What they do not agree on is the "
        "judges' doing, not the model's."
    )
    return f"<p>{note}</p>{html_table(head, body)}"


def group_audit(rows: Rows) -> str:
    """One line for each group."""
    head, body = tables.group_table(rows)
    if not body:
        return ""
    note = (
        "Scores of test faces by their true Male and Young, with 95% intervals and the share of "
        "the way from the group's own floor to its own ceiling. Effects: each attribute of "
        "appearance turned off and on over faces of the group. <code>moves_…</code>: how far the "
        "judge's reading of that attribute moves meanwhile."
    )
    return f"<p>{note}</p>{html_table(head, body)}"


def changes(part: ChangeMap | None, rows: Rows) -> str:
    """The map of what changes with what, and bars of the effects aimed at."""
    if part is None or not len(part.turned):
        return ""
    note = (
        "Row: the attribute that is turned on, mask and seed fixed. Column: the mean change of the "
        "judge's reading, blue up, orange down. On the outlined cells it should be strong, beside "
        "them nothing. Above the line are attributes that a mask leaves open; those below are "
        "partly drawn in the mask, which stays, so they can change little."
    )
    charts = ""
    for row in rows:
        if row["metric"] == "attribute_effect" and row.get("detail"):
            for title, free in _EFFECTS.items():
                bars = {n: d for n, d in row["detail"].items() if (n in APPEARANCE) == free}
                charts += f"<div><h3>{title}</h3>{svg_bars(bars)}</div>" if bars else ""
    bars_note = f'<div class="pair">{charts}</div><p class="note">{_BARS}.</p>' if charts else ""
    return f"<p>{note}</p>{change_map(part)}{bars_note}"


def failures(faces: FaceFailures | None, attributes: AttributeFailures | None) -> str:
    """The worst masks and the worst attributes, with what is wrong."""
    parts = []
    if faces is not None and len(faces.masks):
        grid: list[list[Array | None]] = [
            [mask, real, sample, parsed, differing(sample, mask, parsed)]
            for mask, real, sample, parsed in zip(
                faces.masks, faces.real, faces.samples, faces.parsed, strict=True
            )
        ]
        head = ["condition", "real", "sampled", "parsed", "differs"]
        tiles = html_tiles(grid, row_labels=faces.words, column_labels=head)
        parts.append(
            "<h3>Lowest mask IoU</h3><p>The parser may be wrong, too. The classes named are "
            f"those with the lowest IoU in the picture.</p>{tiles}"
        )
    if attributes is not None and attributes.words:
        most = [max((len(p) for p in side), default=0)
                for side in (attributes.missing, attributes.extra)]  # fmt: skip
        grid = [
            [*missing, *[None] * (most[0] - len(missing)), *extra]
            for missing, extra in zip(attributes.missing, attributes.extra, strict=True)
        ]
        head = ["asked, not seen"] * most[0] + ["not asked, seen"] * most[1]
        tiles = html_tiles(grid, row_labels=attributes.words, column_labels=head)
        parts.append(
            "<h3>Attributes furthest below their ceilings</h3>"
            f"<p>Samples that the classifier reads other than asked.</p>{tiles}"
        )
    return "".join(parts)


def neighbours(part: Neighbours | None) -> str:
    """Samples beside their nearest training pictures."""
    if part is None or not len(part.samples):
        return ""
    distances = [f"{distance:.2f}" for distance in part.distances]
    grid: list[list[Array | None]] = [list(part.samples), list(part.trained)]
    labels = ["sampled", "nearest in training"]
    tiles = html_tiles(grid, row_labels=labels, column_labels=distances)
    note = (
        "The samples that lie nearest to a picture trained on, with their distances; real test "
        f"pictures lie {part.usual:.2f} away from their nearest (median)."
    )
    return f"<p>{note}</p>{tiles}"


def comparisons(found: Sequence[Comparison]) -> str:
    """Published figures and whether they may be compared."""
    if not found:
        return ""
    note = (
        "A figure may stand beside another of the same name only where pictures, split, number, "
        "size, features and judge are the same."
    )
    parts = [f"<p>{note}</p>"]
    for heading, (head, body) in tables.published_tables(found):
        verdict, _, reasons = heading.partition(": ")
        parts.append(f'<h3>{verdict}</h3><p class="note">{html.escape(reasons)}</p>')
        parts.append(html_table(head, body))
    return "".join(parts)


def notes(rows: Rows, more: Sequence[str]) -> str:
    """What to know when reading the figures."""
    items = "".join(f"<li>{html.escape(note)}</li>" for note in tables.all_notes(rows, more))
    return f'<ul class="note">{items}</ul>' if items else ""


def differing(image: Array, mask: Array, parsed: Array) -> Array:
    """The picture in pale grey, and red where the parser sees another class than was asked."""
    grey = image.astype(float).mean(-1, keepdims=True) * 0.45 + 120
    wrong = ((mask != parsed) & (mask != ANYTHING))[..., None]
    red = np.array([206, 60, 50]) * 0.75 + grey * 0.25
    return np.where(wrong, red, grey).clip(0, 255).astype(np.uint8)


def words_of(attributes: str) -> str:
    """`Smiling,-Eyeglasses` -> `smiling, no eyeglasses`."""
    names = [name.strip().replace("_", " ").lower() for name in attributes.split(",")]
    return ", ".join(f"no {name[1:]}" if name.startswith("-") else name for name in names if name)
