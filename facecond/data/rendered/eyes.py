"""Eyes, lids, lashes, eye make-up, bags under the eyes, brows."""

from __future__ import annotations

import numpy as np

from facecond.data.rendered.canvas import Canvas, Colour, Layer, grey, rgb
from facecond.data.rendered.look import Look
from facecond.data.rendered.outlines import Points, ellipse, pair, stroke, taper
from facecond.data.rendered.parameters import between, pick

_IRISES = np.array([(74, 46, 28), (104, 66, 34), (112, 110, 62), (88, 124, 98), (92, 134, 170),
                    (116, 142, 158)], float)  # fmt: skip
_SHADOWS = np.array([(96, 44, 104), (62, 62, 132), (38, 104, 116), (120, 44, 78)], float)
_T = np.linspace(-1, 1, 17)


def _lids(look: Look) -> tuple[Points, Points, float, float]:
    """Upper and lower lid from inner to outer corner, centre and half width (right of picture)."""
    p, narrow = look.p, look.has["Narrow_Eyes"]
    x, w = between(0.092, 0.102, p.eye_gap), between(0.058, 0.064, p.eye_width)
    upper = between(0.015, 0.017, p.eye_open) if narrow else between(0.034, 0.040, p.eye_open)
    lower = between(0.013, 0.015, p.eye_open) if narrow else between(0.023, 0.028, p.eye_open)
    tilt = between(-0.004, 0.012, p.eye_tilt)
    arc = np.power(1 - _T * _T, 0.62)
    skew = 1 - 0.12 * _T
    base = -tilt * _T
    top = np.stack([x + w * _T, base - upper * arc * skew], 1)
    bottom = np.stack([x + w * _T, base + lower * arc * (2 - skew)], 1)
    return top, bottom, x, w


def paint_eyes(canvas: Canvas, look: Look) -> None:
    top, bottom, x, _ = _lids(look)
    if look.has["Heavy_Makeup"]:
        _makeup(canvas, look, top)
    if look.has["Bags_Under_Eyes"]:
        _bags(canvas, look, bottom)
    _eyeballs(canvas, look, top, bottom, x)
    _lashes(canvas, look, top, bottom)


def _eyeballs(canvas: Canvas, look: Look, top: Points, bottom: Points, x: float) -> None:
    p = look.p
    outline = np.concatenate([top, bottom[::-1]])
    canvas.shade(canvas.shape(pair(outline * (1, 1.1)), 0.006).scaled(0.5), rgb(190, 140, 130))
    layer = canvas.shape(pair(outline))
    canvas.paint(layer, rgb(244, 238, 232))
    canvas.mark_sides(layer, "eye")
    eye = canvas.full(layer)
    gaze = between(-0.012, 0.012, p.gaze)
    y = -0.001 if look.has["Narrow_Eyes"] else -0.004
    lit = 1.0 if look.light[0] > 0 else -1.0
    colour = pick(_IRISES, p.iris_hue)

    def discs(dx: float, dy: float, rx: float, ry: float, soft: float = 0.0) -> Layer:
        """The same disc in both eyes, which look the same way and catch the same light."""
        at = gaze + dx
        both = [ellipse(x + at, y + dy, rx, ry), ellipse(at - x, y + dy, rx, ry)]
        return canvas.shape(both, soft).clipped(eye)

    canvas.paint(discs(0, 0, 0.030, 0.030), colour * np.float32(0.55))
    canvas.paint(discs(0, 0, 0.024, 0.024), colour)
    canvas.paint(discs(-0.006 * lit, 0.010, 0.014, 0.009, 0.004).scaled(0.5),
                 np.minimum(colour * np.float32(1.7), 1))  # fmt: skip
    canvas.paint(discs(0, 0, 0.0115, 0.0115), rgb(18, 14, 16))
    lids = canvas.shape(pair(stroke(top + (0, 0.006), 0.016)), 0.004)
    canvas.shade(lids.scaled(0.55).clipped(eye), grey(0.4))
    canvas.paint(discs(0.010 * lit, -0.009, 0.0075, 0.0075), rgb(255, 253, 248))


def _lashes(canvas: Canvas, look: Look, top: Points, bottom: Points) -> None:
    has = look.has
    ink = rgb(34, 22, 22)
    made_up = has["Heavy_Makeup"]
    thick = 0.024 if made_up else 0.011 if has["Male"] else 0.018
    line = top
    if not has["Male"] or made_up:  # lashes sweep out beyond the corner
        line = np.concatenate([top, top[-1:] + [(0.016, -0.014)]])
    pen = thick * np.linspace(0.45, 1.0, len(line))
    pen[-1] *= 0.3
    canvas.paint(canvas.shape(pair(stroke(line, pen))).scaled(0.92), ink)
    under = stroke(bottom, taper(len(bottom), 0.012 if made_up else 0.006, 0.2, 0.8))
    canvas.paint(canvas.shape(pair(under)).scaled(0.9 if made_up else 0.4), ink)
    if not made_up:
        crease = stroke(top[2:-1] - (0, 0.017), taper(len(top) - 3, 0.008, 0.3, 0.5))
        canvas.shade(canvas.shape(pair(crease), 0.002).scaled(0.6), rgb(150, 100, 92))


def _makeup(canvas: Canvas, look: Look, top: Points) -> None:
    lift = np.linspace(0.026, 0.050, len(top))[:, None] * (0.25, -1.0)
    wing = np.concatenate([top + (0, 0.004), (top + lift)[::-1]])
    canvas.paint(canvas.shape(pair(wing), 0.005).scaled(0.95), pick(_SHADOWS, look.p.makeup_colour))


def _bags(canvas: Canvas, look: Look, bottom: Points) -> None:
    bend = 1 - _T * _T
    low = np.stack([bottom[:, 0], 0.020 + 0.050 * bend], 1)
    high = np.stack([bottom[:, 0], 0.016 + 0.016 * bend], 1)
    bag = np.concatenate([low, high[::-1]])
    canvas.paint(canvas.shape(pair(bag), 0.004).scaled(0.9), look.skin_tone * rgb(120, 76, 104))
    rim = stroke(low[2:-2] + (0, 0.008), taper(len(low) - 4, 0.010, 0.2, 0.2))
    canvas.paint(canvas.shape(pair(rim), 0.003).scaled(0.45),
                 np.minimum(look.skin_tone * np.float32(1.2), 1))  # fmt: skip


def brow_colour(look: Look) -> Colour:
    """Hair colour, darkened so that fair brows stay visible on fair skin."""
    tone = look.hair_tone
    return tone * np.float32(0.52 if float(tone.mean()) > 0.3 else 0.8)


def paint_brows(canvas: Canvas, look: Look) -> None:
    p, has = look.p, look.has
    t = np.linspace(0, 1, 13)
    arched, bushy = has["Arched_Eyebrows"], has["Bushy_Eyebrows"]
    peak = between(0.042, 0.048, p.brow_arch) if arched else between(0.0, 0.004, p.brow_arch)
    thick = (
        between(0.051, 0.056, p.brow_thickness)
        if bushy
        else between(0.025, 0.028, p.brow_thickness)
    )
    y = -0.068 - between(0, 0.008, p.brow_height) + (0.002 if arched else -0.004)
    rise = np.sin(np.pi * t**1.1) if arched else np.sin(np.pi * t)
    line = np.stack([0.040 + 0.130 * t, y - peak * rise + (0.016 if arched else 0.005) * t], 1)
    pen = thick * np.interp(t, [0, 0.15, 0.6, 1], [0.75, 1.0, 0.95, 0.35])
    ink = brow_colour(look)
    layer = canvas.shape(pair(stroke(line, pen)))
    canvas.paint(layer.scaled(0.92), ink)
    canvas.mark_sides(layer, "brow")
    if bushy and canvas.size >= 96:
        hairs = [stroke(np.array([at + (-0.006, 0.016), at + (0.012, -0.018)]), 0.004)
                 for at in line[1:11]]  # fmt: skip
        both = [outline for hair in hairs for outline in pair(hair)]
        canvas.paint(canvas.shape(both).scaled(0.5), ink * np.float32(0.7))
