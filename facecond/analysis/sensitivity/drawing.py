"""A drawing of boxes, lines and words that is written as SVG (for the page, in its colours) or as
a picture (PNG, light)."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from typing import Any

from PIL import Image, ImageDraw, ImageFont

SCALE = 2
"""Pixels of a picture per unit of a drawing."""
FONT = 12
HATCH = 6
"""Distance of the lines of a hatching."""

COLOURS = {
    "paper": "#ffffff", "ink": "#1f2328", "soft": "#656b73", "line": "#e4e1da", "card": "#ffffff",
    "c1": "#3a6ea5", "c2": "#c0653c",
}  # fmt: skip
"""The page's variables and, for pictures, their light values (`figures.py`)."""


@dataclass
class Drawing:
    """Marks on a sheet of `width` x `height`; each is its kind and its properties."""

    width: float
    height: float
    marks: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        fill: str = "card",
        opacity: float = 1.0,
        edge: str = "",
        title: str = "",
    ) -> None:
        """A filled rectangle; `title` is shown under the pointer."""
        place = {"x": x, "y": y, "width": width, "height": height}
        self.marks.append(
            ("box", place | {"fill": fill, "opacity": opacity, "edge": edge, "title": title})
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, colour: str = "line") -> None:
        """A thin line."""
        self.marks.append(("line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "colour": colour}))

    def text(
        self, x: float, y: float, text: str, anchor: str = "start", colour: str = "soft"
    ) -> None:
        """Words whose baseline is y; `anchor` is start, middle or end."""
        self.marks.append(
            ("text", {"x": x, "y": y, "text": text, "anchor": anchor, "colour": colour})
        )

    def hatch(self, x: float, y: float, width: float, height: float) -> None:
        """Diagonal lines across a rectangle."""
        for offset in range(HATCH, int(width + height), HATCH):
            start, end = max(0.0, offset - height), min(width, float(offset))
            self.line(x + start, y + offset - start, x + end, y + offset - end, "soft")

    def svg(self, label: str) -> str:
        """HTML that scrolls sideways where it is narrow."""
        parts = "".join(_SVG[kind](properties) for kind, properties in self.marks)
        return (
            f'<div class="scroll"><svg viewBox="0 0 {self.width:.0f} {self.height:.0f}" '
            f'style="width:{self.width:.0f}px" role="img" '
            f'aria-label="{html.escape(label, quote=True)}">{parts}</svg></div>'
        )

    def picture(self) -> Image.Image:
        """On white, at `SCALE`."""
        size = (round(self.width * SCALE), round(self.height * SCALE))
        image = Image.new("RGB", size, COLOURS["paper"])
        pen, font = ImageDraw.Draw(image), ImageFont.load_default(size=FONT * SCALE)
        for kind, mark in self.marks:
            if kind == "box":
                x, y = mark["x"] * SCALE, mark["y"] * SCALE
                corner = (x + mark["width"] * SCALE - 1, y + mark["height"] * SCALE - 1)
                edge = COLOURS[mark["edge"]] if mark["edge"] else None
                if corner[0] >= x and corner[1] >= y:
                    fill = _mixed(mark["fill"], mark["opacity"])
                    pen.rectangle((x, y, *corner), fill=fill, outline=edge)
            elif kind == "line":
                ends = tuple(mark[name] * SCALE for name in ("x1", "y1", "x2", "y2"))
                pen.line(
                    ends,
                    fill=COLOURS[mark["colour"]],
                    width=1 if mark["colour"] != "ink" else SCALE,
                )
            else:
                place = (mark["x"] * SCALE, mark["y"] * SCALE)
                anchor = {"start": "ls", "middle": "ms", "end": "rs"}[mark["anchor"]]
                pen.text(place, mark["text"], COLOURS[mark["colour"]], font, anchor)
        return image


def _mixed(fill: str, opacity: float) -> tuple[int, ...]:
    """A colour over the card."""
    over, under = (bytes.fromhex(COLOURS[name][1:]) for name in (fill, "card"))
    return tuple(round(opacity * a + (1 - opacity) * b) for a, b in zip(over, under, strict=True))


def _svg_box(mark: dict[str, Any]) -> str:
    edge = f' stroke="var(--{mark["edge"]})"' if mark["edge"] else ""
    title = f"<title>{html.escape(mark['title'])}</title>" if mark["title"] else ""
    return (
        f'<rect x="{mark["x"]:.1f}" y="{mark["y"]:.1f}" width="{mark["width"]:.1f}" '
        f'height="{mark["height"]:.1f}" fill="var(--{mark["fill"]})" '
        f'fill-opacity="{mark["opacity"]:.2f}"{edge}>{title}</rect>'
    )


def _svg_line(mark: dict[str, Any]) -> str:
    ends = " ".join(f'{name}="{mark[name]:.1f}"' for name in ("x1", "y1", "x2", "y2"))
    return f'<line {ends} stroke="var(--{mark["colour"]})" stroke-width="0.7"/>'


def _svg_text(mark: dict[str, Any]) -> str:
    return (
        f'<text x="{mark["x"]:.1f}" y="{mark["y"]:.1f}" text-anchor="{mark["anchor"]}" '
        f'style="fill:var(--{mark["colour"]})">{html.escape(mark["text"])}</text>'
    )


_SVG = {"box": _svg_box, "line": _svg_line, "text": _svg_text}
