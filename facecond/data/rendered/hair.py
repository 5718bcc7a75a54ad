"""Hair behind, around and over the face; bald heads; sideburns."""

from __future__ import annotations

import numpy as np

from facecond.data.rendered.canvas import Canvas, rgb
from facecond.data.rendered.look import Look
from facecond.data.rendered.outlines import Points, normals, pair, smooth, smooth_line
from facecond.data.rendered.parameters import between

_ENDS = {"short": 0.05, "bob": 0.27, "long": 0.62}


def _crown(look: Look, volume: float) -> Points:
    """Outer outline of the hair over the skull, from the left temple to the right, [n, 2]."""
    angle = np.linspace(np.pi * 1.02, np.pi * -0.02, 61)
    wide = look.half_width
    return np.stack(
        [(wide + volume * 0.72) * np.cos(angle), -0.055 - (0.255 + volume) * np.sin(angle)], 1
    )


def _ruffle(line: Points, look: Look) -> Points:
    """Push an outline [n, 2] out and in: waves for wavy hair, bubbles for curls."""
    if look.has["Straight_Hair"]:
        return line
    step = np.hypot(*np.diff(line, axis=0, prepend=line[:1]).T)
    phase = np.cumsum(step) * 2 * np.pi / (0.125 if look.has["Wavy_Hair"] else 0.082)
    if look.has["Wavy_Hair"]:
        push = 0.017 * np.sin(phase + 6.28 * look.p.hair_phase)
    else:
        push = 0.037 * np.abs(np.sin(phase / 2)) - 0.006
    return line - normals(line) * push[:, None]


def _volume(look: Look) -> float:
    base = between(0.045, 0.068, look.p.hair_volume)
    return base + (0.0 if look.has["Straight_Hair"] else 0.010)


def _outer(look: Look) -> Points:
    """Outer outline of all hair, from the left end over the crown to the right end."""
    volume = _volume(look)
    crown = _crown(look, volume)
    end = _ENDS[look.hair_length]
    edge = float(crown[-1, 0])
    y = np.linspace(float(crown[-1, 1]), end, 24)[1:]
    t = (y - y[0]) / max(end - y[0], 1e-6)
    if look.hair_length == "short":
        x = edge - 0.030 * t
    elif look.hair_length == "bob":
        x = edge + 0.030 * np.sin(np.pi * 0.75 * t) - 0.01 * t
    else:
        x = edge + 0.022 * np.sin(np.pi * t) + 0.03 * t
    right = np.stack([x, y], 1)
    left = (right * (-1, 1))[::-1]
    return _ruffle(np.concatenate([left, crown, right]), look)


def paint_hair_behind(canvas: Canvas, look: Look) -> None:
    """What lies behind neck and ears."""
    if look.has["Bald"]:
        return
    outer = _outer(look)
    tips = np.zeros((0, 2))
    if look.hair_length != "short":
        x = np.linspace(outer[-1, 0] * 0.96, outer[0, 0] * 0.96, 17)[1:-1]
        tips = np.stack([x, outer[-1, 1] + 0.012 * np.cos(np.arange(len(x)) * np.pi)], 1)
    if look.has["Wearing_Hat"]:
        outer[:, 1] = np.maximum(outer[:, 1], -0.22)
    layer = canvas.shape(np.concatenate([outer, tips]))
    canvas.paint(layer, look.hair * np.float32(0.70), "hair")


def _hairline(look: Look) -> Points:
    """Lower edge of the hair over the forehead, from the right temple to the left."""
    has, p = look.has, look.p
    wide = look.half_width
    drop = between(-0.008, 0.008, p.hairline)
    if has["Bangs"]:
        x = np.linspace(0.97, -0.97, 49)
        teeth = 0.010 * np.abs(((x * 5.5 + p.hair_phase) % 2) - 1)
        sweep = 0.008 * x * (1 if p.hair_part > 0.5 else -1)
        y = -0.128 + drop * 0.5 + sweep + teeth + 0.045 * x**4
        line = np.stack([x * wide * 0.96, y], 1)
        return np.concatenate([[(wide * 0.97, 0.0)], line, [(-wide * 0.97, 0.0)]])
    if has["Receding_Hairline"]:
        half = [(0.965, 0.0), (0.955, -0.10), (0.90, -0.20), (0.68, -0.288), (0.40, -0.292),
                (0.16, -0.262), (0.0, -0.255)]  # fmt: skip
    else:
        half = [(0.965, 0.0), (0.945, -0.07), (0.86, -0.135), (0.62, -0.182), (0.30, -0.20),
                (0.10, -0.205), (0.0, -0.206)]  # fmt: skip
    right = np.array(half)
    left = (right * (-1, 1))[-2::-1]
    line = np.concatenate([right, left]) * (wide, 1) + (0, drop)
    if not has["Receding_Hairline"]:
        part = between(-0.10, 0.10, p.hair_part)
        line[:, 1] -= 0.028 * np.exp(-(((line[:, 0] - part) / 0.05) ** 2))
    return smooth_line(line)


def paint_hair_over(canvas: Canvas, look: Look, face: np.ndarray) -> None:
    """Hair over forehead and temples, and in front of the ears where it is long."""
    if look.has["Bald"]:
        _bald(canvas, look)
        return
    if look.has["Wearing_Hat"]:
        _temples(canvas, look)
    else:
        crown = _ruffle(_crown(look, _volume(look)), look)
        crown = np.concatenate([[(crown[0, 0] + 0.03, 0.0)], crown, [(crown[-1, 0] - 0.03, 0.0)]])
        front = np.concatenate([crown, _hairline(look)])
        shadow = canvas.shape(front + (0.0, 0.016), 0.010).clipped(face)
        canvas.shade(shadow.scaled(0.75), rgb(156, 112, 104))
        canvas.paint(canvas.shape(front), look.hair, "hair")
    if look.hair_length != "short" and look.p.hair_tuck > 0.4:
        _curtains(canvas, look)
    if look.has["Sideburns"]:
        _sideburns(canvas, look)


def _curtains(canvas: Canvas, look: Look) -> None:
    """Locks that fall beside the face."""
    outer = _outer(look)
    end = float(outer[-1, 1])
    wide = look.half_width
    start = -0.10
    inside = smooth_line([(wide - 0.016, start), (wide, 0.10), (wide * 0.96, 0.24),
                          (wide * 0.78, 0.40), (wide * 0.72, max(end, 0.41))])  # fmt: skip
    inside = inside[inside[:, 1] < end]
    edge = outer[(outer[:, 0] > 0) & (outer[:, 1] > start) & (outer[:, 1] < 0.7)]
    lock = np.concatenate([edge, inside[::-1]])
    shadow = canvas.shape(pair(lock - (0.012, 0)), 0.010)
    canvas.shade(shadow.scaled(0.45), rgb(150, 116, 110))
    canvas.paint(canvas.shape(pair(lock)), look.hair * np.float32(0.93), "hair")


def _temples(canvas: Canvas, look: Look) -> None:
    """Hair that shows below a hat, before the ears."""
    wide = look.half_width
    lock = smooth([(wide * 0.80, -0.20), (wide + 0.035, -0.20), (wide + 0.040, -0.03),
                   (wide * 1.0, 0.035), (wide * 0.93, 0.0), (wide * 0.88, -0.08)])  # fmt: skip
    canvas.paint(canvas.shape(pair(lock)), look.hair, "hair")


def _sideburns(canvas: Canvas, look: Look) -> None:
    wide = look.half_width
    strip = smooth([(wide * 0.80, -0.08), (wide * 1.02, -0.08), (wide * 1.02, 0.04),
                    (wide * 0.94, 0.135), (wide * 0.72, 0.150), (wide * 0.75, 0.05)])  # fmt: skip
    canvas.paint(canvas.shape(pair(strip)), look.hair * np.float32(0.9), "hair")


def _bald(canvas: Canvas, look: Look) -> None:
    """Sheen of a bare scalp."""
    if look.has["Wearing_Hat"]:
        return
    side = float(np.sign(look.light[0]))
    canvas.paint(canvas.blob(0.085 * side, -0.225, 0.055, 0.026, 0.45 * side).scaled(0.6),
                 np.minimum(look.skin_tone * 1.3 + np.float32(0.12), 1))  # fmt: skip
