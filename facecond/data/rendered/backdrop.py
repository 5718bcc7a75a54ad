"""Muted backgrounds: a soft gradient, out-of-focus lights, a vignette."""

from __future__ import annotations

import math

import numpy as np

from facecond.data.rendered.canvas import Canvas
from facecond.data.rendered.parameters import FaceParameters, between, pick

_BACKDROPS = np.array(
    [
        (196, 178, 158), (176, 160, 150), (150, 152, 158), (128, 144, 152), (116, 138, 134),
        (138, 148, 122), (170, 164, 132), (190, 164, 140), (150, 128, 128), (118, 116, 136),
    ],
    float,
)  # fmt: skip


def paint_backdrop(canvas: Canvas, p: FaceParameters) -> None:
    """Fill the picture behind the sitter."""
    axis = (np.arange(canvas.size, dtype=np.float32) + 0.5) / canvas.size - 0.5
    x, y = axis[None], axis[:, None]
    angle = between(0.2, math.pi - 0.2, p.backdrop_angle)
    along = np.float32(math.cos(angle)) * x + np.float32(math.sin(angle)) * y
    tone = pick(_BACKDROPS, p.backdrop_hue) * np.float32(between(0.70, 1.12, p.backdrop_shade))
    level = 1.06 - np.float32(0.34) * along - np.float32(0.45) * (x * x + y * y)
    canvas.image[:] = level * tone[:, None, None]
    count = int(4 * p.bokeh)
    for k in range(count):
        turn = 2.4 * k + 6.283 * p.backdrop_shade
        cx, cy = 0.42 * math.cos(turn), 0.10 + 0.40 * math.sin(turn) - 0.2
        radius = 0.10 + 0.07 * ((k * 0.618 + p.bokeh) % 1)
        distance = np.hypot(x - np.float32(cx), y - np.float32(cy))
        disc = np.clip((radius - distance) / 0.05 + 0.5, 0, 1)
        canvas.image += np.float32(0.10) * disc * (np.float32(1.0) - canvas.image)
