"""The report as text and as one self-contained HTML page with pictures of the findings."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np
from PIL import Image

from facecond.data.doctor.alignment import central_square
from facecond.data.doctor.examine import Report
from facecond.data.doctor.files import read_contents
from facecond.data.doctor.findings import KINDS, Finding, count_by_code
from facecond.data.doctor.inventory import Face
from facecond.figures import html_page, html_table, html_tiles
from facecond.labels import colour_mask

SHOWN = 8
"""Findings of a kind that the page shows with pictures."""
THUMBNAIL = 112
NAMED = 3
"""Names of a kind that the table gives as examples."""
LISTED = 200
"""Messages of a kind that the page lists."""

Cell = np.ndarray | None


def text_table(report: Report) -> str:
    """Kinds with their counts and some names, one line each, and the sum."""
    inventory = report.inventory
    lines = [f"{inventory.root}: {len(inventory.faces)} faces ({inventory.kind})"]
    counts = count_by_code(report.findings)
    if counts:
        width = max(len(code) for code in counts)
        lines.append(f"  {'finding':<{width}}  severity  count  examples")
    for code, count in counts.items():
        lines.append(f"  {code:<{width}}  {KINDS[code].severity:<8}  {count:>5}  "
                     f"{_examples(report, code)}")  # fmt: skip
    lines.append(f"{summary(report)}.")
    return "\n".join(lines)


def summary(report: Report) -> str:
    """How many errors and warnings there are, and how many faces are excluded already."""
    errors = sum(finding.severity == "error" for finding in report.findings)
    warnings = len(report.findings) - errors
    if report.findings:
        words = f"{_count(errors, 'error')}, {_count(warnings, 'warning')}"
    else:
        words = "nothing found"
    handled = len(report.handled)
    return words + (
        f"; handled before: {_count(handled, 'name')} in excluded.txt" if handled else ""
    )


def html_report(report: Report) -> str:
    """The page: the table of kinds, then every kind with pictures, messages and advice."""
    inventory = report.inventory
    faces = {face.name: face for face in inventory.faces}
    counts = count_by_code(report.findings)
    introduction = html.escape(
        f"{inventory.root}, {len(inventory.faces)} faces ({inventory.kind}): {summary(report)}."
    )
    rows = [
        (KINDS[code].title, code, KINDS[code].severity, str(count))
        for code, count in counts.items()
    ]
    sections = (
        [("Kinds", html_table(("finding", "code", "severity", "count"), rows))] if rows else []
    )
    for code, count in counts.items():
        found = [finding for finding in report.findings if finding.code == code]
        title = f"{KINDS[code].title} ({count})"
        body = f'<p class="note">{html.escape(KINDS[code].advice)}</p>'
        sections.append(
            (title[0].upper() + title[1:], body + _pictures(found, faces) + _list(found))
        )
    if report.handled:
        rows_ = list(report.handled.items())[:LISTED]
        sections.append(
            (f"Excluded before ({len(report.handled)})", html_table(("name", "why"), rows_))
        )
    return html_page("Data doctor", introduction, sections)


def _pictures(found: Sequence[Finding], faces: dict[str, Face]) -> str:
    rows: list[list[Cell]] = []
    labels = []
    for finding in found:
        shown = [faces[name] for name in finding.names[:2] if name in faces]
        cells = [cell for face in shown for cell in _thumbnails(face)]
        if any(cell is not None for cell in cells):
            rows.append(cells)
            labels.append(" ".join(finding.names[:2]))
        if len(rows) == SHOWN:
            break
    if not rows:
        return ""
    more = len(found) - len(rows)
    note = f'<p class="note">{more} more without pictures here.</p>' if more else ""
    heads = ["image", "with mask"] * (max(len(row) for row in rows) // 2)
    return html_tiles(rows, row_labels=labels, column_labels=heads, scale=1) + note


def _list(found: Sequence[Finding]) -> str:
    lines = [
        f"<li><code>{html.escape(' '.join(finding.names[:4]))}</code> "
        f"{html.escape(finding.message)}</li>"
        for finding in found[:LISTED]
    ]
    more = len(found) - len(lines)
    note = f'<p class="note">{more} more are in the JSON file.</p>' if more else ""
    return f'<ul class="note">{"".join(lines)}</ul>{note}'


def _thumbnails(face: Face) -> list[Cell]:
    """The picture, and the picture under its mask; None for what cannot be read."""
    contents = read_contents(face)
    if contents.image is None:
        return [None, None if contents.mask is None else _small(colour_mask(contents.mask), False)]
    image = _small(contents.image, True)
    if contents.mask is None:
        return [image, None]
    mask = _small(colour_mask(contents.mask), False)
    return [image, ((image.astype(np.uint16) + mask) // 2).astype(np.uint8)]


def _small(pixels: np.ndarray, smooth: bool) -> np.ndarray:
    kind = Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST
    square = Image.fromarray(np.ascontiguousarray(central_square(pixels)))
    return np.asarray(square.resize((THUMBNAIL, THUMBNAIL), kind))


def _examples(report: Report, code: str) -> str:
    found = [finding for finding in report.findings if finding.code == code]
    if not found[0].names:
        return found[0].message
    shown = ["+".join(finding.names[:2]) for finding in found[:NAMED]]
    return ", ".join(shown) + (", ..." if len(found) > NAMED else "")


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
