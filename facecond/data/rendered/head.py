"""Neck, ears, face, cheeks, nose, and what age and weight do to them."""

from __future__ import annotations

import numpy as np

from facecond.data.rendered.canvas import Canvas, rgb
from facecond.data.rendered.look import Look
from facecond.data.rendered.outlines import (
    ellipse,
    mirrored,
    pair,
    smooth,
    smooth_line,
    stroke,
    taper,
)
from facecond.data.rendered.parameters import between

_FRECKLED = 0.2
_FRECKLES = np.array(
    [
        (x * side, y)
        for side in (1, -1)
        for x, y in (
            (0.052, 0.050), (0.080, 0.066), (0.112, 0.056), (0.142, 0.070), (0.066, 0.090),
            (0.100, 0.096), (0.132, 0.104), (0.160, 0.092), (0.086, 0.122), (0.120, 0.134),
        )
    ]
) + np.tile([(0.004, -0.003), (-0.005, 0.004)], (10, 1))  # fmt: skip
_SPOTS = ((-0.16, -0.10), (0.17, 0.16), (-0.15, 0.17), (0.09, -0.21))


def neck_half_width(look: Look) -> float:
    """Men have a broad neck, women a slender one."""
    return 0.138 if look.has["Male"] else 0.092


def paint_neck(canvas: Canvas, look: Look) -> None:
    w = neck_half_width(look)
    neck = mirrored([(0.0, 0.1), (w, 0.12), (w, 0.32), (w + 0.03, 0.37), (w + 0.15, 0.42),
                     (w + 0.15, 0.64), (0.0, 0.64)])  # fmt: skip
    layer = canvas.shape(neck, body=True)
    canvas.paint(layer, look.skin * np.float32(0.97), "neck")
    shadow = look.outline * (0.92, 1.0) + (0.0, 0.045)
    canvas.shade(canvas.shape(shadow, soft=0.022).clipped(canvas.full(layer)), rgb(150, 112, 108))
    if look.has["Male"]:
        canvas.shade(canvas.shape(ellipse(0, 0.375, 0.018, 0.014), 0.01, True), rgb(206, 176, 168))


def paint_ears(canvas: Canvas, look: Look) -> None:
    size = between(0.92, 1.12, look.p.ear_size)
    x = look.half_width + 0.012
    turn = (-0.5 * canvas.pose.yaw, 0.0)  # ears lie behind the axis: they go the other way
    layer = canvas.shape(
        [e + turn for e in pair(ellipse(x, 0.035, 0.040 * size, 0.072 * size, 0.16))]
    )
    canvas.paint(layer, look.skin * np.float32(0.89))
    canvas.mark_sides(layer, "ear")
    inner = pair(ellipse(x + 0.006, 0.033, 0.018 * size, 0.042 * size, 0.16))
    canvas.shade(canvas.shape([e + turn for e in inner], 0.008), rgb(190, 136, 126))


def paint_face(canvas: Canvas, look: Look) -> np.ndarray:
    """Face with jowls and modelling; returns its coverage, float32 [S, S]."""
    has = look.has
    if has["Double_Chin"]:
        y = look.chin
        w = 0.94 * float(look.outline[np.abs(look.outline[:, 1] - y + 0.06) < 0.02, 0].max())
        fold = smooth([(-w, y - 0.07), (w, y - 0.07), (w * 0.94, y - 0.005),
                       (w * 0.6, y + 0.042), (0.0, y + 0.056), (-w * 0.6, y + 0.042),
                       (-w * 0.94, y - 0.005)])  # fmt: skip
        layer = canvas.shape(fold)
        canvas.paint(layer, look.skin * np.float32(0.95), "skin")
        canvas.shade(
            canvas.shape(look.outline + (0.0, 0.014), 0.007).clipped(canvas.full(layer)),
            rgb(150, 104, 96),
        )
    layer = canvas.shape(look.outline)
    canvas.paint(layer, look.skin, "skin")
    face = canvas.full(layer)
    for side in (1, -1):
        _cheek(canvas, look, face, side)
    _sockets(canvas, look)
    _freckles(canvas, look, face)
    return face


def _cheek(canvas: Canvas, look: Look, face: np.ndarray, side: int) -> None:
    has = look.has
    blush = canvas.blob(side * 0.118, 0.092, 0.05, 0.038)
    canvas.paint(blush.scaled(0.10).clipped(face), rgb(214, 96, 82))
    if has["Chubby"]:
        canvas.paint(canvas.blob(side * 0.125, 0.10, 0.042, 0.036).scaled(0.3).clipped(face),
                     np.minimum(look.skin_tone * np.float32(1.12), 1))  # fmt: skip
    if has["High_Cheekbones"]:
        light = np.minimum(look.skin_tone * rgb(318, 310, 296) + rgb(20, 18, 14), 1)
        ridge = canvas.blob(side * 0.135, 0.062, 0.048, 0.016, -0.42 * side)
        canvas.paint(ridge.scaled(0.75).clipped(face), light)
        hollow = canvas.blob(side * 0.150, 0.135, 0.055, 0.020, -0.62 * side)
        canvas.shade(hollow.scaled(0.95).clipped(face), rgb(138, 98, 90))
    if has["Rosy_Cheeks"]:
        rose = canvas.blob(side * 0.122, 0.106, 0.044, 0.036)
        canvas.paint(rose.scaled(0.68).clipped(face), rgb(226, 82, 88))


def _sockets(canvas: Canvas, look: Look) -> None:
    for side in (1, -1):
        canvas.shade(
            canvas.blob(side * 0.092, -0.022, 0.055, 0.026).scaled(0.5), rgb(196, 152, 142)
        )


def _freckles(canvas: Canvas, look: Look, face: np.ndarray) -> None:
    """Specks on the cheeks of one face in five."""
    share = look.p.freckles / _FRECKLED
    if share >= 1:
        return
    at = _FRECKLES * (1, 0.9 + 0.2 * share)
    layer = canvas.shape([ellipse(x, y, 0.0085, 0.0075) for x, y in at], 0.002)
    strength = between(0.4, 0.7, share)
    canvas.paint(layer.scaled(strength).clipped(face), look.skin_tone * rgb(186, 128, 98))


def paint_age(canvas: Canvas, look: Look, face: np.ndarray) -> None:
    """Lines of age: forehead, beside the nose, around the eyes; sagging, spotted skin."""
    if look.has["Young"]:
        return
    crease = look.skin_tone * rgb(126, 92, 86)
    lines = [
        (
            [(-0.105, -0.135), (-0.05, -0.142), (0.0, -0.137), (0.05, -0.142), (0.105, -0.135)],
            0.015,
        ),
        ([(-0.085, -0.172), (0.0, -0.177), (0.085, -0.172)], 0.014),
    ]
    for side in (1, -1):
        lines += [
            ([(side * 0.058, 0.098), (side * 0.098, 0.140), (side * 0.122, 0.210)], 0.021),
            ([(side * 0.165, -0.012), (side * 0.198, -0.032)], 0.013),
            ([(side * 0.165, 0.010), (side * 0.200, 0.018)], 0.013),
            ([(side * 0.055, 0.068), (side * 0.095, 0.082), (side * 0.145, 0.074)], 0.013),
        ]
    strokes = []
    for points, width in lines:
        line = smooth_line(points)
        strokes.append(stroke(line, taper(len(line), width, 0.4, 0.3)))
    canvas.paint(canvas.shape(strokes, 0.004).scaled(0.95).clipped(face), crease)
    spots = [ellipse(x, y, 0.013, 0.011) for x, y in _SPOTS]
    layer = canvas.shape(spots, 0.005).scaled(0.35).clipped(face)
    canvas.paint(layer, look.skin_tone * rgb(170, 120, 96))


def paint_nose(canvas: Canvas, look: Look) -> None:
    """A big nose is wide and long; a pointed one runs into a tip, a round one ends in a ball."""
    has, p = look.has, look.p
    big, pointy = has["Big_Nose"], has["Pointy_Nose"]
    w = between(0.078, 0.086, p.nose_width) if big else between(0.038, 0.042, p.nose_width)
    end = (0.120 if big else 0.098) + between(-0.004, 0.004, p.nose_length)
    bridge = 0.032 if big else 0.018
    tip = end + 0.046
    if pointy:
        half = [(0.0, -0.03), (bridge * 0.7, -0.02), (bridge * 0.9, 0.03), (w * 0.72, end - 0.026),
                (w * 0.62, end - 0.002), (0.0, tip)]  # fmt: skip
        outline = mirrored(half)
    else:
        half = [(0.0, -0.03), (bridge * 0.9, -0.015), (bridge * 0.9, 0.04), (w * 0.80, end - 0.046),
                (w * 1.10, end - 0.014), (w * 0.70, end + 0.010), (0.0, end + 0.010)]  # fmt: skip
        outline = smooth(mirrored(half))
    layer = canvas.shape(outline)
    canvas.mark(layer, "nose")
    nose = canvas.full(layer)
    away = -1 if look.light[0] > 0 else 1
    dark, bright = rgb(176, 124, 112), np.minimum(look.skin_tone * np.float32(1.25), 1)
    canvas.shade(canvas.shape(outline * (1.12, 1) + (0, 0.010), 0.008).scaled(0.7), dark)
    canvas.paint(layer.scaled(0.9), np.minimum(look.skin * np.float32(1.04), 1))
    flank = canvas.shape(outline * (0.5, 0.96) + (away * w * 0.62, 0), 0.012)
    canvas.shade(flank.scaled(0.85).clipped(nose), dark)
    canvas.paint(canvas.blob(-away * 0.004, 0.03, bridge * 0.45, 0.045).scaled(0.55), bright)
    if pointy:
        canvas.paint(canvas.blob(0, end + 0.004, 0.010, 0.016).scaled(0.85), bright)
        under = mirrored([(0.0, tip - 0.014), (w * 0.50, end - 0.022), (w * 0.68, end - 0.002),
                          (0.0, tip + 0.004)])  # fmt: skip
        canvas.shade(canvas.shape(under, 0.003).scaled(0.95), rgb(108, 60, 54))
        return
    canvas.paint(canvas.blob(0, end - 0.018, w * 0.62, 0.024).scaled(0.42), rgb(206, 92, 80))
    canvas.paint(canvas.blob(-away * 0.005, end - 0.022, w * 0.34, 0.016).scaled(0.6), bright)
    nostrils = canvas.shape(pair(ellipse(w * 0.48, end - 0.003, w * 0.27, 0.0095, 0.2)), 0.003)
    canvas.shade(nostrils.scaled(0.95), rgb(92, 46, 42))
    wings = canvas.shape(pair(ellipse(w * 1.04, end - 0.016, 0.009, 0.022)), 0.003)
    canvas.shade(wings.scaled(0.85), rgb(140, 88, 78))
