"""What the parts of one face share: proportions, light, tone of skin and hair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from facecond.data.rendered.canvas import Canvas, Colour, Pose, rgb, times
from facecond.data.rendered.outlines import Points, mirrored, smooth
from facecond.data.rendered.parameters import FaceParameters, between, pick

_PALE = np.array([(252, 230, 216), (248, 224, 208), (251, 227, 216)], float)
_TONES = np.array(
    [
        (232, 180, 146),
        (214, 158, 120),
        (196, 138, 102),
        (166, 112, 80),
        (136, 88, 62),
        (108, 70, 52),
    ],
    float,
)
_HAIR = {
    "Black_Hair": np.array([(30, 27, 30), (38, 32, 34)], float),
    "Brown_Hair": np.array([(98, 62, 38), (122, 80, 50)], float),
    "Blond_Hair": np.array([(212, 174, 108), (226, 194, 136)], float),
    "Gray_Hair": np.array([(146, 147, 152), (178, 179, 182)], float),
}
_AUBURN = np.array([(134, 60, 36), (150, 74, 44)], float)


@dataclass(frozen=True)
class Look:
    """One face about to be drawn.

    `skin` and `hair` are float32 [3, S, S]: the colour that skin or hair would have at each pixel
    under this light.
    """

    p: FaceParameters
    has: Mapping[str, bool]
    outline: Points
    chin: float
    half_width: float
    light: tuple[float, float]
    skin: Colour
    skin_tone: Colour
    hair: Colour
    hair_tone: Colour
    hair_length: str


def hair_length(p: FaceParameters) -> str:
    """ "short", "bob" or "long"."""
    return "short" if p.hair_length < 0.48 else "bob" if p.hair_length < 0.68 else "long"


def pose_of(p: FaceParameters) -> Pose:
    """Where the head stands in the frame: a close crop with a moderate tilt and turn."""
    return Pose(
        x=0.5 + between(-0.025, 0.025, p.shift_x),
        y=0.458 + between(-0.018, 0.018, p.shift_y),
        scale=between(1.08, 1.18, p.scale),
        roll=between(-0.11, 0.11, p.roll),
        yaw=between(-0.035, 0.035, p.yaw),
    )


def make_look(canvas: Canvas, p: FaceParameters, has: Mapping[str, bool]) -> Look:
    """Settle proportions, light and colours, and shade skin and hair over the whole canvas."""
    outline, chin, half_width = _head(p, has)
    side = between(0.35, 0.75, abs(2 * p.light_side - 1)) * (1 if p.light_side > 0.5 else -1)
    light = (side, -between(0.25, 0.6, p.light_height))
    tone = _skin_tone(p, has)
    hair_tone = _hair_tone(p, has)
    return Look(
        p=p,
        has=has,
        outline=outline,
        chin=chin,
        half_width=half_width,
        light=light,
        skin=_shade_skin(canvas, tone, light, p),
        skin_tone=tone,
        hair=_shade_hair(canvas, hair_tone, light, p, has),
        hair_tone=hair_tone,
        hair_length=hair_length(p),
    )


def _head(p: FaceParameters, has: Mapping[str, bool]) -> tuple[Points, float, float]:
    """Outline of the face, height of the chin, half width at the temples.

    An oval face is long, narrow and tapers to the chin; otherwise the jaw is square and short. A
    chubby face is wide below the eyes.
    """
    oval, chubby, male = has["Oval_Face"], has["Chubby"], has["Male"]
    wide = between(0.97, 1.02, p.head_width) * (0.93 if oval else 1.02)
    jaw = between(-0.005, 0.005, p.jaw) + (0.010 if male else -0.008)
    chin = between(0.300, 0.310, p.head_length) + (0.026 if oval else -0.006)
    cheek, jowl, low = (0.228, 0.208, 0.138) if chubby else (0.197, 0.160, 0.110)
    if oval:
        cheek, jowl, low = 0.190, 0.138, 0.084
    half = [
        (0.0, -0.305),
        (0.120, -0.280),
        (0.192, -0.200),
        (0.213, -0.08),
        (0.208, 0.03),
        (cheek, 0.12),
        (jowl + jaw, 0.200),
        (low + jaw, chin - 0.040),
        (0.050 + jaw, chin - 0.007),
        (0.0, chin),
    ]
    return smooth(mirrored(np.array(half) * (wide, 1.0))), chin, 0.213 * wide


def _skin_tone(p: FaceParameters, has: Mapping[str, bool]) -> Colour:
    tone = pick(_PALE if has["Pale_Skin"] else _TONES, p.skin_tone)
    return tone * np.array([1.0, 1.0, between(0.95, 1.04, p.skin_hue)], np.float32)


def _hair_tone(p: FaceParameters, has: Mapping[str, bool]) -> Colour:
    for name, palette in _HAIR.items():
        if has[name]:
            return pick(palette, p.hair_shade)
    return pick(_AUBURN, p.hair_shade)


def _shade_skin(
    canvas: Canvas, tone: Colour, light: tuple[float, float], p: FaceParameters
) -> Colour:
    """Lambert light on an egg-shaped head; shadows turn warm, as light does under skin."""
    nx, ny = canvas.u / np.float32(0.27), (canvas.v - np.float32(0.03)) / np.float32(0.40)
    nz = np.sqrt(np.maximum(np.float32(0.06), 1 - nx * nx - ny * ny))
    lit = np.float32(light[0]) * nx + np.float32(light[1]) * ny + np.float32(0.85) * nz
    lit = np.clip(lit, 0.0, 1.1, dtype=np.float32)
    warm = between(-0.03, 0.03, p.warmth)
    bright = np.minimum(tone * np.array([1.07 + warm, 1.05, 1.03 - warm], np.float32), 1.0)
    shadow = tone * np.array([0.70, 0.54, 0.48], np.float32)
    shaded: Colour = shadow[:, None, None] + lit * (bright - shadow)[:, None, None]
    return shaded


def _shade_hair(
    canvas: Canvas,
    tone: Colour,
    light: tuple[float, float],
    p: FaceParameters,
    has: Mapping[str, bool],
) -> Colour:
    """Strands that fan out from the parting, straight, wavy or in curls, under a band of sheen."""
    u, v = canvas.u, canvas.v
    phase = np.float32(6.283 * p.hair_phase)
    part = np.float32(between(-0.12, 0.12, p.hair_part))
    reach = v + np.float32(0.62)  # strands run away from a point above the head
    if has["Straight_Hair"]:
        fan = (u - part) / np.maximum(reach, 0.25)
        texture = 0.6 * np.sin(42 * fan + phase) + 0.4 * np.sin(67 * fan + 2 * phase)
        depth = 0.13
    elif has["Wavy_Hair"]:
        wave = np.float32(0.034) * np.sin(np.float32(36) * v + phase + 5 * u)
        fan = (u - part + wave) / np.maximum(reach, 0.25)
        texture = 0.8 * np.sin(36 * fan + phase) + 0.2 * np.sin(61 * fan)
        depth = 0.21
    else:
        bu, bv = u + np.float32(0.012) * np.sin(26 * v + phase), v
        texture = (
            np.cos(62 * bu) + np.cos(31 * bu + 53.7 * bv) + np.cos(31 * bu - 53.7 * bv)
        ) / 1.8
        depth = 0.17
    if canvas.size >= 128:
        fine = min(1.0, canvas.size / 256)
        fan = (u - part) / np.maximum(reach, 0.25)
        texture = texture + np.float32(0.45 * fine) * np.sin(185 * fan + 3 * np.sin(24 * v))
    across = u - np.float32(0.12 * light[0])
    ring = (np.sqrt(across * across + (v + 0.02) ** 2) - 0.275) / 0.05
    sheen = np.exp(-ring * ring) * (v < 0.05)
    lift = 0.32 * np.clip(light[0] * u / 0.3 - v * 0.9, -1, 1)
    level = 0.94 + depth * texture + 0.30 * sheen * (1 + 0.4 * texture) + lift
    shaded = times(np.asarray(level, np.float32), tone)
    # Dark hair would swallow a purely multiplicative light: a little is added as a pale gloss.
    shaded += np.maximum(0, level - 0.8).astype(np.float32) * rgb(34, 30, 34)[:, None, None]
    return np.minimum(shaded, 1, out=shaded)
