"""Pictures of results: image grids, charts as inline SVG, tables, one self-contained HTML page.

Charts take their colours from the page's CSS variables, so they follow its light and dark dress.
"""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from facecond.labels import colour_mask

SERIES_COLOURS = 6  # the page's --c1 to --c6
LONG = 44  # characters; longer cells of a table are wrapped


def enlarge(image: np.ndarray, scale: int) -> Image.Image:
    """Picture uint8 [H, W, 3] by Lanczos, or label mask uint8 [H, W] in its colours by repetition,
    `scale` times as large."""
    is_mask = image.ndim == 2
    picture = Image.fromarray(colour_mask(image) if is_mask else image)
    size = (picture.width * scale, picture.height * scale)
    return picture.resize(size, Image.Resampling.NEAREST if is_mask else Image.Resampling.LANCZOS)


def image_grid(
    rows: Sequence[Sequence[np.ndarray | None]],
    *,
    row_labels: Sequence[str] = (),
    column_labels: Sequence[str] = (),
    scale: int = 2,
    gap: int = 4,
) -> Image.Image:
    """Rows of pictures [H, W, 3] or masks [H, W] of one size, on white; None is an empty cell."""
    cells = [cell for row in rows for cell in row if cell is not None]
    if not cells:
        raise ValueError("a grid needs at least one picture")
    height, width = (side * scale for side in cells[0].shape[:2])
    font = ImageFont.load_default(size=13)
    left = max((round(font.getlength(label)) + 10 for label in row_labels), default=0)
    top = 20 if column_labels else 0
    columns = max(len(row) for row in rows)
    size = (left + columns * (width + gap) + gap, top + len(rows) * (height + gap) + gap)
    canvas = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(canvas)
    for c, label in enumerate(column_labels):
        x = left + gap + c * (width + gap) + width / 2
        draw.text((x, 4), label, fill="#333", font=font, anchor="ma")
    for r, row in enumerate(rows):
        y = top + gap + r * (height + gap)
        if r < len(row_labels):
            draw.text((6, y + height / 2), row_labels[r], fill="#333", font=font, anchor="lm")
        for c, cell in enumerate(row):
            if cell is not None:
                canvas.paste(enlarge(cell, scale), (left + gap + c * (width + gap), y))
    return canvas


def png_data_uri(image: Image.Image) -> str:
    """The picture as a `data:` address, so that a page needs no other file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def html_tiles(
    rows: Sequence[Sequence[np.ndarray | None]],
    *,
    row_labels: Sequence[str] = (),
    column_labels: Sequence[str] = (),
    scale: int = 2,
) -> str:
    """The same grid as HTML: real text as labels, and it scrolls sideways where it is narrow."""
    columns = max(len(row) for row in rows)
    head = "<span></span>" if row_labels and column_labels else ""
    head += "".join(f'<span class="head">{html.escape(label)}</span>' for label in column_labels)
    body = []
    for r, row in enumerate(rows):
        if row_labels:
            body.append(f'<span class="side">{html.escape(row_labels[r])}</span>')
        for c in range(columns):
            cell = row[c] if c < len(row) else None
            if cell is None:
                body.append("<span></span>")
                continue
            kind = ' class="crisp"' if cell.ndim == 2 else ""
            what = "mask" if cell.ndim == 2 else "face"
            uri = png_data_uri(enlarge(cell, 1 if cell.ndim == 2 else scale))
            body.append(f'<img{kind} alt="{what}" src="{uri}">')
    labelled = " labelled" if row_labels else ""
    return (
        f'<div class="scroll"><div class="tiles{labelled}" style="--columns:{columns}">'
        f"{head}{''.join(body)}</div></div>"
    )


def svg_curves(
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    x_label: str,
    y_label: str,
    width: int = 640,
    height: int = 280,
) -> str:
    """Line chart of named series (x values, y values); values that are not finite are left out."""
    points = {}
    for name, (xs, ys) in series.items():
        x, y = np.asarray(xs, float), np.asarray(ys, float)
        keep = np.isfinite(x) & np.isfinite(y)
        stride = max(1, math.ceil(keep.sum() / 500))
        points[name] = x[keep][::stride], y[keep][::stride]
    every_x = np.concatenate([x for x, _ in points.values()] or [np.zeros(0)])
    every_y = np.concatenate([y for _, y in points.values()] or [np.zeros(0)])
    if not len(every_x):
        return '<p class="note">Nothing was recorded.</p>'
    x_ticks = ticks(float(every_x.min()), float(every_x.max()))
    low, high = float(every_y.min()), float(every_y.max())
    y_ticks = ticks(low, high)
    marks, lines = _legend(list(points) if len(points) > 1 else [], width)
    left, right, top, bottom = 56, 12, 12 + 20 * lines, 40
    x0, x1 = min(x_ticks[0], every_x.min()), max(x_ticks[-1], every_x.max())
    y0, y1 = min(y_ticks[0], low), max(y_ticks[-1], high)

    def px(x: np.ndarray | float) -> np.ndarray:
        return left + (np.asarray(x, float) - x0) / ((x1 - x0) or 1) * (width - left - right)

    def py(y: np.ndarray | float) -> np.ndarray:
        share = (np.asarray(y, float) - y0) / ((y1 - y0) or 1)
        return height - bottom - share * (height - top - bottom)

    parts = []
    for tick in y_ticks:
        y = py(tick)
        parts.append(
            f'<line class="rule" x1="{left}" x2="{width - right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        parts.append(_text(left - 8, float(y) + 4, _short(tick), "end"))
    for tick in x_ticks:
        parts.append(_text(float(px(tick)), height - bottom + 18, _short(tick), "middle"))
    parts.append(_text((left + width - right) / 2, height - 5, x_label, "middle"))
    middle = (top + height - bottom) / 2
    parts.append(
        f'<text text-anchor="middle" transform="translate(13 {middle:.0f}) rotate(-90)">'
        f"{html.escape(y_label)}</text>"
    )
    for i, (x, y) in enumerate(points.values()):
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(px(x), py(y), strict=True))
        parts.append(f'<polyline class="curve" stroke="{_colour(i)}" points="{path}"/>')
    return _svg(width, height, parts + marks, f"{y_label} against {x_label}")


def svg_bars(
    values: Mapping[str, Mapping[str, float | None]],
    *,
    start: float = 0.0,
    width: int = 460,
) -> str:
    """Horizontal bars `name -> {score, ceiling, floor}` from `start` to 1: the bar is the
    score, the tick in the colour of the text the ceiling, the coloured tick the floor."""
    left, right, pitch = 150, 42, 22
    span = width - left - right

    def px(value: float) -> float:
        return left + span * (min(max(value, start), 1) - start) / (1 - start)

    height = 26 + pitch * len(values)
    parts = []
    for tick in ticks(start, 1):
        x = px(tick)
        parts.append(f'<line class="rule" x1="{x:.1f}" x2="{x:.1f}" y1="4" y2="{height - 20}"/>')
        parts.append(_text(x, height - 6, _short(tick), "middle"))
    for i, (name, marks) in enumerate(values.items()):
        y = 6 + pitch * i
        parts.append(_text(left - 10, y + 13, name.replace("_", " "), "end", "name"))
        score = marks.get("score")
        if score is not None:
            bar = f'x="{left}" y="{y + 3}" width="{px(score) - left:.1f}" height="12" rx="2"'
            parts.append(f'<rect class="bar" {bar}/>')
            parts.append(_text(width - right + 9, y + 13, f"{score:.2f}"))
        for kind in ("floor", "ceiling"):
            value = marks.get(kind)
            if value is not None:
                x = px(value)
                line = f'x1="{x:.1f}" x2="{x:.1f}" y1="{y}" y2="{y + 18}"'
                parts.append(
                    f'<line class="{kind}" {line}><title>{kind} {value:.3f}</title></line>'
                )
    return _svg(width, height, parts, "scores by name")


def svg_heatmap(
    matrix: np.ndarray, *, row_labels: Sequence[str], column_labels: Sequence[str]
) -> str:
    """Grid of numbers [rows, columns], from 0 (empty) to the largest (full colour)."""
    cell_width, cell_height, top = 96, 26, 28
    left = 24 + 7.2 * max((len(label) for label in row_labels), default=0)
    largest = float(np.max(np.abs(matrix))) if matrix.size else 0.0
    width, height = left + cell_width * len(column_labels) + 4, top + cell_height * len(row_labels)
    parts = [
        _text(left + cell_width * (c + 0.5), 17, label, "middle", "name")
        for c, label in enumerate(column_labels)
    ]
    for r, label in enumerate(row_labels):
        y = top + cell_height * r
        parts.append(_text(left - 12, y + 16, label, "end"))
        for c in range(len(column_labels)):
            value = float(matrix[r, c])
            share = abs(value) / largest if largest else 0.0
            x = left + cell_width * c + 2
            box = f'x="{x}" y="{y + 1}" width="{cell_width - 4}" height="{cell_height - 4}" rx="3"'
            parts.append(f'<rect class="cell" {box}/>')
            parts.append(f'<rect fill="{_colour(c)}" fill-opacity="{0.85 * share:.2f}" {box}/>')
            style = "on" if share > 0.5 else "off"
            parts.append(_text(x + cell_width / 2 - 2, y + 16, f"{value:g}", "middle", style))
    return _svg(width, height, parts, "grid of values", fluid=False)


def html_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Table of plain texts; the first column is a heading, the others are numbers."""
    top = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    top = f"<thead><tr>{top}</tr></thead>" if top else ""
    body = ""
    for row in rows:
        kinds = [' class="long"' if len(cell) > LONG else "" for cell in row]
        tags = ["th", *["td"] * (len(row) - 1)]
        parts = zip(tags, kinds, map(html.escape, row), strict=True)
        body += f"<tr>{''.join(f'<{t}{kind}>{cell}</{t}>' for t, kind, cell in parts)}</tr>"
    return f'<div class="scroll"><table>{top}<tbody>{body}</tbody></table></div>'


def html_page(title: str, introduction: str, sections: Sequence[tuple[str, str]]) -> str:
    """A page that needs nothing but itself. `introduction` and section bodies are HTML; titles are
    plain text; a section without a title joins the one before."""
    body = "".join(
        f"<section>{f'<h2>{html.escape(name)}</h2>' if name else ''}{content}</section>"
        for name, content in sections
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_CSS}</style></head><body><main>"
        f'<header><h1>{html.escape(title)}</h1><div class="lead">{introduction}</div></header>'
        f"{body}</main></body></html>\n"
    )


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round numbers that lie within [low, high]; low alone when the two coincide."""
    if not high > low:
        return [low]
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def _legend(names: Sequence[str], width: float) -> tuple[list[str], int]:
    """Marks and names of the series from left to right, and how many lines they take."""
    parts: list[str] = []
    x, line = 8.0, 0
    for i, name in enumerate(names):
        room = 30 + 7.2 * len(name)
        if x + room > width and x > 8:
            x, line = 8.0, line + 1
        parts.append(f'<circle cx="{x + 5:.0f}" cy="{11 + 20 * line}" r="4" fill="{_colour(i)}"/>')
        parts.append(_text(x + 14, 15 + 20 * line, name))
        x += room
    return parts, line + 1 if names else 0


def _colour(index: int) -> str:
    return f"var(--c{index % SERIES_COLOURS + 1})"


def _short(value: float) -> str:
    return f"{value / 1000:g}k" if abs(value) >= 10_000 else f"{value:g}"


def _text(x: float, y: float, text: str, anchor: str = "start", style: str = "") -> str:
    kind = f' class="{style}"' if style else ""
    place = f'x="{float(x):.1f}" y="{float(y):.1f}" text-anchor="{anchor}"'
    return f"<text{kind} {place}>{html.escape(text)}</text>"


def _svg(width: float, height: float, parts: Sequence[str], label: str, fluid: bool = True) -> str:
    size = f'style="min-width:{min(width, 340):.0f}px"' if fluid else f'style="width:{width:.0f}px"'
    return (
        f'<div class="scroll"><svg viewBox="0 0 {width:.0f} {height:.0f}" {size} role="img" '
        f'aria-label="{html.escape(label, quote=True)}">{"".join(parts)}</svg></div>'
    )


_CSS = """
:root{color-scheme:light dark;--paper:#fbfaf7;--ink:#1f2328;--soft:#656b73;--line:#e4e1da;
--card:#fff;--c1:#3a6ea5;--c2:#c0653c;--c3:#4b8b68;--c4:#8461a8;--c5:#ab862f;--c6:#4f8894}
@media(prefers-color-scheme:dark){:root{--paper:#15171b;--ink:#e7e6e2;--soft:#9aa0a8;
--line:#2b2f36;--card:#1c1f25;--c1:#6fa3d8;--c2:#df8a62;--c3:#74b793;--c4:#ae8fd0;--c5:#d1ac58;
--c6:#78b3bf}}*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);
font:16px/1.6 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif}main{
max-width:61rem;margin:0 auto;padding:3.5rem 1.5rem 5rem}h1,h2,h3{
font-family:Charter,"Iowan Old Style","Palatino Linotype",Georgia,serif;font-weight:600;
line-height:1.2;margin:0}h1{font-size:2.3rem;letter-spacing:-.015em}h2{font-size:1.45rem;
margin-bottom:.5rem}h3{font-size:1.05rem;margin:1.6rem 0 .4rem}p{margin:.3rem 0 1rem;
max-width:44rem}.lead{color:var(--soft);font-size:1.08rem;margin-top:.8rem}.note{
color:var(--soft);font-size:.92rem}section{margin-top:3.2rem;padding-top:1.6rem;
border-top:1px solid var(--line)}.scroll{overflow-x:auto;margin:.6rem 0}svg{display:block;
width:100%;height:auto}svg text{fill:var(--soft);font-size:12px;font-family:inherit}
svg .name,svg .strong{fill:var(--ink)}svg .strong{font-weight:600;font-size:13px}svg .on{
fill:#fff}svg .rule{stroke:var(--line)}svg .curve{fill:none;stroke-width:1.8;
stroke-linejoin:round}svg .bar{fill:var(--c1);opacity:.8}svg .cell,svg .box{fill:var(--card);
stroke:var(--line)}svg .ceiling{stroke:var(--ink);stroke-width:2}svg .floor{stroke:var(--c2);
stroke-width:2.5}.tiles{display:grid;
grid-template-columns:repeat(var(--columns),minmax(76px,128px));gap:5px;align-items:center}
.tiles.labelled{
grid-template-columns:minmax(92px,150px) repeat(var(--columns),minmax(76px,128px))}.tiles img{
width:100%;display:block;border-radius:4px}.tiles .crisp{image-rendering:pixelated}.tiles span{
font-size:.8rem;line-height:1.3;color:var(--soft)}.tiles .head{text-align:center;align-self:end;
color:var(--ink)}.tiles .side{padding-right:.6rem}.figures{display:flex;flex-wrap:wrap;gap:1rem;
margin:1.6rem 0 0;padding:0;list-style:none}.figures li{flex:1 1 11rem;background:var(--card);
border:1px solid var(--line);border-radius:8px;padding:.9rem 1.1rem}.figures b{display:block;
font-size:1.8rem;font-weight:600;line-height:1.25;color:var(--ink);
font-variant-numeric:tabular-nums}.figures span{font-size:.86rem;color:var(--soft);display:block;
line-height:1.4}.pair{display:grid;
grid-template-columns:repeat(auto-fit,minmax(min(100%,25rem),1fr));gap:0 2rem}table{
border-collapse:collapse;font-size:.92rem;font-variant-numeric:tabular-nums;width:100%}th,td{
text-align:right;padding:.45rem .7rem;border-bottom:1px solid var(--line);white-space:nowrap}
th small{display:block;white-space:normal;color:var(--soft);font-weight:400;font-size:.8rem;
line-height:1.35;max-width:24rem}th.part:first-child{padding-top:1.5rem;
font-weight:600}td.long{white-space:normal;text-align:left;min-width:19rem;font-size:.84rem;line-height:1.4}
th:first-child{text-align:left;padding-left:0;font-weight:500}thead th{color:var(--soft);
font-weight:500;font-size:.84rem}code,pre{
font:.86rem/1.6 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}pre{overflow-x:auto;
background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.8rem 1rem;
margin:.6rem 0}@media(max-width:40rem){main{padding:2rem 1rem 3rem}h1{font-size:1.8rem}section{
margin-top:2.2rem}.tiles.labelled{
grid-template-columns:84px repeat(var(--columns),minmax(72px,128px))}}
"""
