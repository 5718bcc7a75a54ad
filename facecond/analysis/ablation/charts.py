"""Charts of a study that `figures` has none for: two scores against each other, differences."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from facecond.figures import ticks


@dataclass(frozen=True)
class Point:
    """A variant in the plane: means, standard deviations (0 where unknown), and its runs."""

    name: str
    x: float
    y: float
    x_sd: float
    y_sd: float
    runs: Sequence[tuple[float, float]]
    is_reference: bool = False


@dataclass(frozen=True)
class Gap:
    """A difference with its interval; `sure` after correction."""

    name: str
    mean: float
    low: float
    high: float
    runs: Sequence[float]
    sure: bool


def best(points: Sequence[Point]) -> list[Point]:
    """The points that no other beats in both, from left to right (more is better)."""
    front = [
        p
        for p in points
        if not any(q.x >= p.x and q.y >= p.y and (q.x > p.x or q.y > p.y) for q in points)
    ]
    return sorted(front, key=lambda p: p.x)


def pareto(points: Sequence[Point], x_label: str, y_label: str) -> str:
    """Inline SVG: means with standard deviations, single runs as small dots, and the front."""
    width, height, left, right, top, bottom = 720, 440, 64, 150, 16, 46
    xs = [v for p in points for v in (p.x - p.x_sd, p.x + p.x_sd, *(run[0] for run in p.runs))]
    ys = [v for p in points for v in (p.y - p.y_sd, p.y + p.y_sd, *(run[1] for run in p.runs))]
    x0, x1 = _widened(xs)
    y0, y1 = _widened(ys)

    def px(x: float) -> float:
        return left + (x - x0) / (x1 - x0) * (width - left - right)

    def py(y: float) -> float:
        return height - bottom - (y - y0) / (y1 - y0) * (height - top - bottom)

    parts = []
    for tick in ticks(y0, y1):
        y = py(tick)
        parts.append(f'<line class="rule" x1="{left}" x2="{width - right}" y1="{y:.1f}" '
                     f'y2="{y:.1f}"/>{_text(left - 8, y + 4, f"{tick:g}", "end")}')  # fmt: skip
    for tick in ticks(x0, x1):
        parts.append(_text(px(tick), height - bottom + 18, f"{tick:g}", "middle"))
    parts.append(_text((left + width - right) / 2, height - 6, x_label, "middle"))
    middle = (top + height - bottom) / 2
    parts.append(
        f'<text text-anchor="middle" transform="translate(13 {middle:.0f}) rotate(-90)">'
        f"{html.escape(y_label)}</text>"
    )
    path = " ".join(f"{px(p.x):.1f},{py(p.y):.1f}" for p in best(points))
    parts.append(f'<polyline class="curve" stroke="var(--c3)" opacity=".7" points="{path}"/>')
    for p in points:
        colour = "var(--c2)" if p.is_reference else "var(--c1)"
        x, y = px(p.x), py(p.y)
        for rx, ry in p.runs:
            parts.append(
                f'<circle cx="{px(rx):.1f}" cy="{py(ry):.1f}" r="2" fill="{colour}" opacity=".45"/>'
            )
        parts.append(
            f'<path d="M{px(p.x - p.x_sd):.1f} {y:.1f}H{px(p.x + p.x_sd):.1f}'
            f'M{x:.1f} {py(p.y - p.y_sd):.1f}V{py(p.y + p.y_sd):.1f}" stroke="{colour}" '
            f'stroke-width="1.2"/><circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{colour}">'
            f"<title>{html.escape(p.name)}: {p.x:.3f}, {p.y:.3f}</title></circle>"
        )
    parts += _names([(p.name, px(p.x), py(p.y)) for p in points])
    return _svg(width, height, parts, f"{y_label} against {x_label}")


def forest(gaps: Sequence[Gap], label: str) -> str:
    """Inline SVG: differences with their intervals and single seeds, around 0."""
    width, left, right, pitch = 460, 150, 16, 24
    height = 34 + pitch * len(gaps)
    values = [v for g in gaps for v in (g.low, g.high, g.mean, *g.runs) if v == v]
    low, high = _widened([*values, 0.0])

    def px(value: float) -> float:
        return left + (value - low) / (high - low) * (width - left - right)

    parts = []
    for tick in ticks(low, high):
        x = px(tick)
        style = 'stroke="var(--soft)"' if tick == 0 else ""
        parts.append(
            f'<line class="rule" {style} x1="{x:.1f}" x2="{x:.1f}" y1="4" y2="{height - 26}"/>'
        )
        parts.append(_text(x, height - 12, f"{tick:g}", "middle"))
    for i, g in enumerate(gaps):
        y = 16 + pitch * i
        colour = "var(--c2)" if g.sure else "var(--c1)"
        parts.append(_text(left - 10, y + 4, g.name, "end", "name"))
        if g.low == g.low:
            parts.append(
                f'<line x1="{px(g.low):.1f}" x2="{px(g.high):.1f}" y1="{y}" y2="{y}" '
                f'stroke="{colour}" stroke-width="2"/>'
            )
        for value in g.runs:
            parts.append(
                f'<circle cx="{px(value):.1f}" cy="{y}" r="2" fill="{colour}" opacity=".5"/>'
            )
        parts.append(
            f'<circle cx="{px(g.mean):.1f}" cy="{y}" r="4" fill="{colour}">'
            f"<title>{html.escape(g.name)}: {g.mean:+.4f}</title></circle>"
        )
    return _svg(width, height, parts, label)


def _names(marks: Sequence[tuple[str, float, float]]) -> list[str]:
    """Names to the right of their marks, moved down where they would lie on one another."""
    parts: list[str] = []
    placed: list[tuple[float, float]] = []
    for name, x, y in sorted(marks, key=lambda mark: mark[2]):
        at = y + 4
        while any(abs(at - other) < 13 and abs(x - there) < 130 for there, other in placed):
            at += 2
        placed.append((x, at))
        parts.append(_text(x + 9, at, name, "start", "name"))
    return parts


def _widened(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = (high - low) * 0.06 or abs(high) * 0.05 or 1.0
    return low - margin, high + margin


def _text(x: float, y: float, text: str, anchor: str, style: str = "") -> str:
    kind = f' class="{style}"' if style else ""
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f"<text{kind} {place}>{html.escape(text)}</text>"


def _svg(width: int, height: int, parts: Sequence[str], label: str) -> str:
    return (
        f'<div class="scroll"><svg viewBox="0 0 {width} {height}" style="min-width:340px" '
        f'role="img" aria-label="{html.escape(label, quote=True)}">{"".join(parts)}</svg></div>'
    )
