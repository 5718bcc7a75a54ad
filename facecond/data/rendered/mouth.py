"""Lips, teeth, moustache, beard, goatee, stubble."""

from __future__ import annotations

import numpy as np

from facecond.data.rendered.canvas import Canvas, Colour, rgb
from facecond.data.rendered.look import Look
from facecond.data.rendered.outlines import mirrored, pair, smooth, smooth_line, stroke, taper
from facecond.data.rendered.parameters import between, pick

_LIPSTICKS = np.array([(184, 34, 46), (158, 26, 58), (190, 48, 78), (138, 18, 38)], float)
_T = np.linspace(-1, 1, 25)
_Y = 0.196


def paint_mouth(canvas: Canvas, look: Look) -> None:
    p, has = look.p, look.has
    smiling, opened = has["Smiling"], has["Mouth_Slightly_Open"]
    w = between(0.108, 0.117, p.mouth_width) if smiling else between(0.074, 0.084, p.mouth_width)
    lift = between(0.049, 0.056, p.smile) if smiling else between(-0.016, -0.006, p.smile)
    big = has["Big_Lips"]
    upper = between(0.054, 0.058, p.lip_fullness) if big else between(0.022, 0.025, p.lip_fullness)
    lower = between(0.060, 0.064, p.lip_fullness) if big else between(0.026, 0.029, p.lip_fullness)
    if smiling:  # lips stretch
        upper, lower = 0.86 * upper, 0.86 * lower
    gap = between(0.042, 0.048, p.mouth_open) if opened else 0.0
    arc = 1 - _T * _T
    x = w * _T
    lift *= 0.78 if opened and smiling else 1.0
    base = _Y + lift * (0.42 - np.abs(_T) ** 1.7) - (0.014 if opened else 0.0)
    inner_top, inner_low = base - 0.15 * gap * arc, base + 0.85 * gap * arc
    bow = np.power(arc, 0.75) * (1 - 0.22 * np.exp(-((_T / 0.16) ** 2)))
    top, low = inner_top - upper * bow, inner_low + lower * np.power(arc, 0.85 if smiling else 0.7)
    colour = _lip_colour(look)
    bottom_lip = np.stack([np.r_[x, x[::-1]], np.r_[inner_low, low[::-1]]], 1)
    shadow = bottom_lip * (0.8, 1) + (0, 0.014)
    canvas.shade(canvas.shape(shadow, 0.009).scaled(0.55), rgb(170, 116, 106))
    if opened:
        _inside(canvas, x, inner_top, inner_low, gap)
    top_lip = np.stack([np.r_[x, x[::-1]], np.r_[top, inner_top[::-1]]], 1)
    canvas.paint(canvas.shape(bottom_lip), colour, "l_lip")
    canvas.paint(canvas.shape(top_lip), colour * np.float32(0.80), "u_lip")
    middle = float(inner_low[12] + 0.45 * lower)
    gleam = canvas.blob(0.012 * np.sign(look.light[0]), middle, w * 0.26, lower * 0.2)
    canvas.paint(gleam.scaled(0.28), rgb(255, 226, 212))
    if not opened:
        seam = stroke(np.stack([x, base], 1), taper(25, 0.010, 0.7, 0.7))
        canvas.paint(canvas.shape(seam).scaled(0.8), colour * np.float32(0.34))
    if smiling:
        y = float(base[0])
        dimple = smooth_line(
            [(w - 0.022, y - 0.062), (w + 0.012, y - 0.014), (w + 0.006, y + 0.022)]
        )
        layer = canvas.shape(pair(stroke(dimple, 0.013)), 0.003)
        canvas.shade(layer.scaled(0.8), rgb(132, 84, 78))


def _inside(canvas: Canvas, x: np.ndarray, top: np.ndarray, low: np.ndarray, gap: float) -> None:
    hole = canvas.shape(np.stack([np.r_[x, x[::-1]], np.r_[top - 0.004, (low + 0.004)[::-1]]], 1))
    canvas.paint(hole, rgb(74, 18, 24), "mouth")
    inside = canvas.full(hole)
    teeth_low = top + 0.52 * gap * np.power(1 - _T * _T, 0.4)
    teeth = np.stack([np.r_[x, x[::-1]], np.r_[top - 0.006, teeth_low[::-1]]], 1) * (0.9, 1)
    canvas.paint(canvas.shape(teeth).clipped(inside), rgb(240, 234, 224))
    tongue = canvas.blob(0, float(low[12]), 0.035, 0.012).scaled(0.6)
    canvas.paint(tongue.clipped(inside), rgb(196, 92, 92))


def _lip_colour(look: Look) -> Colour:
    if look.has["Wearing_Lipstick"]:
        return pick(_LIPSTICKS, look.p.lip_colour)
    natural = look.skin_tone * rgb(214, 158, 150)
    return natural * np.float32(between(0.94, 1.03, look.p.lip_colour))


def paint_facial_hair(canvas: Canvas, look: Look, face: np.ndarray) -> None:
    """Stubble, beard or goatee, moustache; all lie on the skin and leave the mask alone."""
    has = look.has
    c = look.chin
    if has["5_o_Clock_Shadow"]:
        jaw = mirrored([(0.0, 0.128), (0.075, 0.135), (0.125, 0.155), (0.19, 0.085), (0.25, 0.09),
                        (0.25, c + 0.04), (0.0, c + 0.05)])  # fmt: skip
        layer = canvas.shape(jaw, 0.012).clipped(face)
        canvas.paint(layer.scaled(0.78), look.skin_tone * rgb(84, 90, 108))
    beard_ink = look.hair_tone * np.float32(0.86)
    strands = look.hair * np.float32(0.42) + 0.36 * beard_ink[:, None, None]
    if has["Beard"]:
        beard = mirrored([(0.0, 0.246), (0.05, 0.250), (0.085, 0.238), (0.118, 0.195),
                          (0.145, 0.15), (0.178, 0.10), (0.25, 0.085), (0.25, c + 0.04),
                          (0.0, c + 0.05)])  # fmt: skip
        canvas.paint(canvas.shape(beard, 0.006).clipped(face).scaled(0.93), strands)
    if has["Goatee"]:
        goatee = smooth(mirrored([(0.0, 0.246), (0.035, 0.248), (0.074, 0.264), (0.070, c - 0.012),
                                  (0.035, c + 0.02), (0.0, c + 0.024)]))  # fmt: skip
        layer = canvas.shape(goatee, 0.004).clipped(face)
        canvas.paint(layer.scaled(0.96), beard_ink * np.float32(0.72))
    if has["Mustache"]:
        half = smooth_line([(0.0, 0.148), (0.04, 0.140), (0.085, 0.158), (0.128, 0.205)])
        pen = np.interp(
            np.linspace(0, 1, len(half)), [0, 0.35, 0.75, 1], [0.042, 0.048, 0.036, 0.012]
        )
        wings = stroke(half + (0, 0.006), pen)
        canvas.paint(canvas.shape(pair(wings)).scaled(0.95), beard_ink * np.float32(0.82))
