"""Outlines as points: smooth curves, strokes of changing width, ellipses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

Points = np.ndarray
"""float64 [N, 2], face units."""

_STEPS = 6
_T = np.arange(_STEPS)[:, None] / _STEPS
_BASIS = 0.5 * np.concatenate(
    [
        -_T + 2 * _T**2 - _T**3,
        2 - 5 * _T**2 + 3 * _T**3,
        _T + 4 * _T**2 - 3 * _T**3,
        -(_T**2) + _T**3,
    ],
    1,
)  # Catmull-Rom weights of the four neighbours of a segment


_MIRROR = np.array([-1.0, 1.0])
_TURN = np.linspace(0, 2 * np.pi, 28, endpoint=False)
_CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)], 1)


def smooth(points: Sequence[Sequence[float]] | Points) -> Points:
    """Closed Catmull-Rom curve through the points [n, 2] -> [6 n, 2]."""
    p = np.asarray(points, float)
    return _segments(np.concatenate([p[-1:], p, p[:2]]))


def smooth_line(points: Sequence[Sequence[float]] | Points) -> Points:
    """Open Catmull-Rom curve from the first to the last point."""
    p = np.asarray(points, float)
    ends = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    return np.concatenate([_segments(ends), p[-1:]])


def _segments(p: Points) -> Points:
    """Curve points of the n - 3 segments that have both neighbours, [6 (n - 3), 2]."""
    neighbours = np.concatenate([p[:-3, None], p[1:-2, None], p[2:-1, None], p[3:, None]], 1)
    return (_BASIS @ neighbours).reshape(-1, 2)


def stroke(line: Points, width: float | Points) -> Points:
    """Outline of a line [n, 2] drawn with a pen of this full width (a number or [n])."""
    side = normals(line) * (np.asarray(width).reshape(-1, 1) / 2)
    return np.concatenate([line + side, (line - side)[::-1]])


def normals(line: Points) -> Points:
    """Unit normals [n, 2] of an open line, to the right of its direction on the screen."""
    along = np.empty_like(line)
    along[1:-1] = line[2:] - line[:-2]
    along[0], along[-1] = line[1] - line[0], line[-1] - line[-2]
    length = np.sqrt(along[:, 0] ** 2 + along[:, 1] ** 2)
    normal = np.empty_like(line)
    normal[:, 0], normal[:, 1] = -along[:, 1] / length, along[:, 0] / length
    return normal


def taper(count: int, thick: float, start: float = 0.0, end: float = 0.0) -> Points:
    """Pen widths [count]: `thick` in the middle, `start` and `end` shares of it at the tips."""
    t, bulge = _pen(count)
    return thick * (start + (end - start) * t + (1 - 0.5 * (start + end)) * bulge)


@lru_cache
def _pen(count: int) -> tuple[Points, Points]:
    t = np.linspace(0, 1, count)
    return t, np.sin(np.pi * t)


def ellipse(x: float, y: float, rx: float, ry: float, tilt: float = 0.0) -> Points:
    """Ellipse with its axes turned by `tilt` radians."""
    c, s = math.cos(tilt), math.sin(tilt)
    axes = np.array([(rx * c, rx * s), (-ry * s, ry * c)])
    return _CIRCLE @ axes + (x, y)


def mirrored(half: Sequence[Sequence[float]] | Points) -> Points:
    """Right half of an outline, from top to bottom -> both halves, clockwise.

    The first and last point lie on the middle line and are not doubled.
    """
    p = np.asarray(half, float)
    return np.concatenate([p, (p * _MIRROR)[-2:0:-1]])


def pair(points: Points) -> list[Points]:
    """An outline on the right of the picture and its mirror image."""
    return [points, points * _MIRROR]
