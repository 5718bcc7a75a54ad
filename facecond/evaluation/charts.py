"""The map of an evaluation that `figures` has no chart for: what changes with what."""

from __future__ import annotations

import html
from collections.abc import Sequence

from facecond.evaluation.report_parts import ChangeMap
from facecond.labels import APPEARANCE

CELL, LEFT, TOP = 19, 150, 128


def change_map(part: ChangeMap) -> str:
    """Inline SVG: a row for each attribute turned, a column for each attribute read, both with the
    attributes of appearance first; blue where the reading rises, orange where it falls."""
    turned, read = (_ordered(names) for names in (part.turned, part.read))
    free = sum(part.turned[row] in APPEARANCE for row in turned)
    width, height = LEFT + CELL * len(read) + 84, TOP + CELL * len(turned) + 8
    marks = []
    for c, column in enumerate(read):
        x, y = LEFT + CELL * (c + 0.62), TOP - 8
        marks.append(
            f'<text class="name" transform="translate({x:.1f} {y}) rotate(-55)">'
            f"{_plain(part.read[column])}</text>"
        )
    for r, row in enumerate(turned):
        y = TOP + CELL * r
        name = part.turned[row]
        marks.append(
            f'<text class="name" x="{LEFT - 9}" y="{y + 13.5:.1f}" text-anchor="end">'
            f"{_plain(name)}</text>"
        )
        for c, column in enumerate(read):
            value = float(part.change[row, column])
            own = part.read[column] == name
            place = f'x="{LEFT + CELL * c + 1}" y="{y + 1}" width="{CELL - 2}" height="{CELL - 2}"'
            title = f"{_plain(name)} on: {_plain(part.read[column])} {value:+.2f}"
            colour = "var(--c1)" if value >= 0 else "var(--c2)"
            shade = min(abs(value), 1) ** 0.7
            edge = ' stroke="var(--ink)" stroke-width="1.2"' if own else ""
            marks.append(
                f'<rect class="cell" {place} rx="2"/><rect {place} rx="2" fill="{colour}" '
                f'fill-opacity="{shade:.2f}"{edge}><title>{title}</title></rect>'
            )
    if 0 < free < len(turned):
        y = TOP + CELL * free
        marks.append(
            f'<line x1="{LEFT - 140}" x2="{LEFT + CELL * len(read)}" y1="{y}" y2="{y}" '
            'stroke="var(--ink)" stroke-width="1"/>'
        )
    return (
        f'<div class="scroll"><svg viewBox="0 0 {width} {height}" style="min-width:{width}px;'
        f'width:{width}px" role="img" aria-label="change of each attribute with each other">'
        f"{''.join(marks)}</svg></div>"
    )


def _ordered(names: Sequence[str]) -> list[int]:
    """Places of the names: those of appearance first, otherwise in their order."""
    return sorted(range(len(names)), key=lambda i: (names[i] not in APPEARANCE, i))


def _plain(name: str) -> str:
    return html.escape(name.replace("_", " "))
