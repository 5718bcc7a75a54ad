"""How it works in one picture: conditions -> tokens -> routed denoiser -> sampler -> face."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

import numpy as np

from facecond.figures import enlarge, png_data_uri

WIDTH, HEIGHT = 1000, 376
STAGES = ("down", "mid", "up")


def flow_diagram(
    mask: np.ndarray,
    attributes: Sequence[str],
    face: np.ndarray,
    routing: Mapping[str, Mapping[str, bool]] | None = None,
    token_counts: Mapping[str, int] | None = None,
) -> str:
    """Inline SVG drawn around one real condition and the face sampled from it.

    Args:
        mask: uint8 [H, W], the condition.
        attributes: a few names to show, a minus before the absent ones.
        face: uint8 [H, W, 3], the sample.
        routing: `stage -> {source: reaches it}` for down, mid and up; None shows all on.
        token_counts: tokens per source, shown when given.
    """
    routing = routing or {stage: {"attributes": True, "mask": True} for stage in STAGES}
    counts = token_counts or {}
    parts = [_DEFINITIONS]
    parts += _heading(0, "what you ask for")
    parts += [_picture(mask, 0, 40, 108), _text(0, 166, "mask; grey = anything")]
    for i, name in enumerate(attributes[:4]):
        parts += _chip(0, 182 + 27 * i, name)
    parts += [_text(0, 182 + 27 * min(len(attributes), 4) + 13, "attributes: yes, no or open")]
    parts += [_noise(0, 322), _text(60, 350, "noise from the seed")]

    parts += _heading(250, "condition tokens")
    parts += _tokens(250, 62, 4, "var(--c2)", "mask", ("a grid and one per class",), counts)
    parts += _tokens(250, 192, 3, "var(--c1)", "attributes", ("one per name",), counts)
    parts += [_arrow("M120 94 L240 94"), _arrow("M150 216 L240 216")]

    parts += _heading(476, "routed denoiser")
    parts += _unet(476, 40, routing)
    parts += [
        _arrow("M354 94 C420 94 420 116 466 116", "var(--c2)"),
        _arrow("M354 216 C420 216 420 138 466 138", "var(--c1)"),
        _arrow("M200 346 C340 346 440 330 494 222"),
    ]

    parts += _heading(808, "sampler and decoder")
    parts += _loop(808, 52)
    parts += [_picture(face, 808, 178, 150), _text(808, 346, "the face sampled from them")]
    parts += [_arrow("M752 96 L798 96"), _arrow("M883 142 L883 170")]
    label = "Mask and attributes become tokens, which reach chosen layers of the denoiser."
    return (
        f'<div class="scroll"><svg viewBox="0 0 {WIDTH} {HEIGHT}" style="min-width:820px" '
        f'role="img" aria-label="{label}">{"".join(parts)}</svg></div>'
    )


_DEFINITIONS = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
    'orient="auto-start-reverse"><path d="M0 .8 7 4 0 7.2" fill="none" stroke="context-stroke" '
    'stroke-width="1.3"/></marker></defs>'
)


def _heading(x: float, text: str) -> list[str]:
    return [f'<text class="strong" x="{x}" y="20">{html.escape(text)}</text>']


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{html.escape(text)}</text>'


def _picture(image: np.ndarray, x: float, y: float, side: float) -> str:
    scale = 1 if image.ndim == 2 else 2
    style = ' style="image-rendering:pixelated"' if image.ndim == 2 else ""
    uri = png_data_uri(enlarge(image, scale))
    return (
        f'<image{style} x="{x}" y="{y}" width="{side}" height="{side}" href="{uri}"/>'
        f'<rect x="{x}" y="{y}" width="{side}" height="{side}" rx="2" fill="none" class="rule"/>'
    )


def _chip(x: float, y: float, name: str) -> list[str]:
    absent = name.startswith("-")
    words = ("no " if absent else "") + name.lstrip("-").replace("_", " ").lower()
    width = 20 + 7.2 * len(words)
    edge = 'stroke-dasharray="3 2"' if absent else ""
    return [
        f'<rect x="{x}" y="{y}" width="{width:.0f}" height="21" rx="10.5" fill="var(--card)" '
        f'stroke="var(--c1)" {edge}/>',
        f'<text class="name" x="{x + 10}" y="{y + 14.5}">{html.escape(words)}</text>',
    ]


def _noise(x: float, y: float) -> str:
    """A patch of grey cells in a fixed pattern."""
    cells = []
    for i in range(36):
        shade = (i * 37 + (i // 6) * 11) % 53 / 53
        place = f'x="{x + 8 * (i % 6)}" y="{y + 8 * (i // 6)}" width="8" height="8"'
        cells.append(f'<rect {place} fill="var(--soft)" fill-opacity="{0.1 + 0.8 * shade:.2f}"/>')
    return "".join(cells)


def _tokens(
    x: float,
    y: float,
    rows: int,
    colour: str,
    source: str,
    notes: Sequence[str],
    counts: Mapping[str, int],
) -> list[str]:
    cells = [
        f'<rect x="{x + 16 * c}" y="{y + 16 * r}" width="13" height="13" rx="3" fill="{colour}" '
        f'fill-opacity="{0.45 + 0.4 * ((r * 6 + c) * 5 % 7) / 7:.2f}"/>'
        for r in range(rows)
        for c in range(6)
    ]
    count = (
        f"{source}: {counts[source]} tokens" if source in counts else f"{source.rstrip('s')} tokens"
    )
    bottom = y + 16 * rows + 14
    return cells + [_text(x, bottom + 16 * i, line) for i, line in enumerate((count, *notes))]


def _unet(x: float, y: float, routing: Mapping[str, Mapping[str, bool]]) -> list[str]:
    """The U: two levels down, the middle, two levels up; dots say which source reaches a stage."""
    blocks = [
        ("down", x, y + 22, 44, 130),
        ("down", x + 56, y + 52, 44, 96),
        ("mid", x + 112, y + 84, 44, 62),
        ("up", x + 168, y + 52, 44, 96),
        ("up", x + 224, y + 22, 44, 130),
    ]
    parts = [
        f'<path d="M{x + 22} {y + 14} C{x + 60} {y - 12} {x + 208} {y - 12} {x + 246} {y + 14}" '
        'fill="none" class="rule" stroke-dasharray="4 3"/>'
    ]
    colours = {"mask": "var(--c2)", "attributes": "var(--c1)"}
    for stage, left, top, width, height in blocks:
        parts.append(
            f'<rect class="box" x="{left}" y="{top}" width="{width}" height="{height}" rx="6"/>'
        )
        for i, (source, colour) in enumerate(colours.items()):
            on = routing.get(stage, {}).get(source, False)
            fill = colour if on else "none"
            parts.append(
                f'<circle cx="{left + width / 2}" cy="{top + height / 2 - 11 + 22 * i}" r="6" '
                f'fill="{fill}" stroke="{colour}" stroke-opacity="{1 if on else 0.35}"/>'
            )
    parts += [_text(x + 22, y + 170, "down", "middle"), _text(x + 134, y + 170, "mid", "middle")]
    parts += [_text(x + 246, y + 170, "up", "middle")]
    for i, (source, colour) in enumerate(colours.items()):
        parts.append(f'<circle cx="{x + 46}" cy="{y + 204 + 20 * i}" r="5" fill="{colour}"/>')
        parts.append(_text(x + 58, y + 208 + 20 * i, f"attends to the {source}"))
    parts.append(_text(x + 41, y + 248, "hollow: the routing keeps it out"))
    return parts


def _loop(x: float, y: float) -> list[str]:
    """The sampling steps: a row of patches from noise to clear."""
    parts = []
    for i in range(6):
        left = x + 26 * i
        parts.append(
            f'<rect x="{left}" y="{y + 20}" width="20" height="36" rx="4" class="cell"/>'
            f'<rect x="{left}" y="{y + 20}" width="20" height="36" rx="4" fill="var(--c3)" '
            f'fill-opacity="{0.08 + 0.16 * i:.2f}"/>'
        )
    parts += [_text(x, y + 8, "noise"), _text(x + 150, y + 8, "latents", "end")]
    parts += [_text(x, y + 76, "guidance per source")]
    return parts


def _arrow(path: str, colour: str = "var(--soft)") -> str:
    return (
        f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.4" '
        'marker-end="url(#tip)"/>'
    )
