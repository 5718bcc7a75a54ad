"""Clothes, necktie, necklace, earrings, glasses, hats."""

from __future__ import annotations

import numpy as np

from facecond.data.rendered.canvas import Canvas, Colour, Layer, grey, rgb, times
from facecond.data.rendered.head import neck_half_width
from facecond.data.rendered.look import Look
from facecond.data.rendered.outlines import ellipse, mirrored, pair, smooth_line, stroke
from facecond.data.rendered.parameters import between, pick

_CLOTHS = np.array(
    [(58, 72, 98), (84, 104, 118), (70, 92, 84), (128, 120, 92), (150, 104, 84), (132, 70, 70),
     (112, 76, 96), (88, 82, 104), (196, 186, 170)], float,
)  # fmt: skip
_TIES = np.array([(150, 28, 38), (120, 30, 78), (28, 62, 128), (24, 104, 96)], float)
_METALS = np.array([(232, 190, 84), (240, 210, 130), (226, 226, 232)], float)
_FRAMES = np.array([(26, 24, 28), (64, 36, 26), (30, 42, 70), (96, 26, 34)], float)
_HATS = np.array(
    [(64, 78, 106), (88, 106, 96), (146, 92, 72), (150, 124, 82), (116, 70, 84), (190, 176, 150),
     (74, 72, 80)], float,
)  # fmt: skip


def _fabric(canvas: Canvas, tone: Colour, light: tuple[float, float]) -> Colour:
    level = 0.92 + np.float32(0.5 * light[0]) * canvas.u - np.float32(0.55) * (canvas.v - 0.45)
    level = level + np.float32(0.05) * np.sin(22 * canvas.u + 9 * canvas.v)
    return times(level, tone)


def paint_clothes(canvas: Canvas, look: Look) -> None:
    """Shoulders: a scooped neckline for women, a round one for men, shirt and coat with a tie."""
    p, male = look.p, look.has["Male"]
    w = neck_half_width(look)
    tone = pick(_CLOTHS, p.cloth_colour) * np.float32(between(0.8, 1.12, p.cloth_shade))
    broad = 0.03 if male else 0.0
    tie = look.has["Wearing_Necktie"]
    dip = 0.405 if male or tie else 0.465
    rim = w + (0.012 if male or tie else 0.055)
    top = 0.345 if male or tie else 0.385
    half = [(0.0, dip), (rim * 0.55, dip - 0.014), (rim * 0.92, top + 0.025), (rim + 0.012, top),
            (0.30 + broad, 0.405 - broad * 0.5), (0.44 + broad, 0.45 - broad), (0.60, 0.56),
            (0.60, 0.72), (0.0, 0.72)]  # fmt: skip
    body = mirrored(half)
    canvas.shade(canvas.shape(body - (0, 0.010), 0.010, True).scaled(0.35), rgb(120, 92, 90))
    layer = canvas.shape(body, body=True)
    if tie:
        tone = tone * np.float32(0.5)
    canvas.paint(layer, _fabric(canvas, tone, look.light), "cloth")
    if tie:
        _necktie(canvas, look, w, dip, top)
    else:
        edge = smooth_line(np.concatenate([(np.array(half[:4]) * (-1, 1))[:0:-1], half[:4]]))
        hem = canvas.shape(stroke(edge, 0.020), body=True)
        canvas.paint(hem.scaled(0.8), tone * np.float32(0.72), "cloth")


def _necktie(canvas: Canvas, look: Look, w: float, dip: float, top: float) -> None:
    shirt = _fabric(canvas, rgb(236, 234, 228), look.light)
    front = mirrored(
        [(0.0, dip), (w + 0.012, top), (w + 0.045, top + 0.05), (0.085, 0.72), (0, 0.72)]
    )
    canvas.paint(canvas.shape(front, body=True), shirt, "cloth")
    tone = pick(_TIES, look.p.tie_colour)
    blade = np.array([(-0.026, dip + 0.03), (0.026, dip + 0.03), (0.064, 0.72), (-0.064, 0.72)])
    canvas.paint(canvas.shape(blade, body=True), tone, "cloth")
    band = np.array([(-0.06, 0.018), (0.06, -0.018), (0.06, -0.004), (-0.06, 0.032)])
    bands = [band + (0, dip + 0.055 + 0.045 * k) for k in range(3)]
    stripes = canvas.shape(bands, body=True).clipped(canvas.full(canvas.shape(blade, body=True)))
    canvas.paint(stripes.scaled(0.4), rgb(240, 226, 200))
    knot = np.array([(-0.036, dip - 0.012), (0.036, dip - 0.012), (0.024, dip + 0.036),
                     (-0.024, dip + 0.036)])  # fmt: skip
    canvas.paint(canvas.shape(knot, body=True), tone * np.float32(0.82), "cloth")
    wing = np.array([(w + 0.016, top - 0.018), (w + 0.04, top + 0.045), (0.062, dip + 0.05),
                     (0.018, dip - 0.008)])  # fmt: skip
    canvas.shade(canvas.shape(pair(wing + (0, 0.008)), 0.006, True).scaled(0.5), grey(0.6))
    canvas.paint(
        canvas.shape(pair(wing), body=True), np.minimum(shirt * np.float32(1.04), 1), "cloth"
    )


def paint_necklace(canvas: Canvas, look: Look) -> None:
    if not look.has["Wearing_Necklace"]:
        return
    w = neck_half_width(look) + 0.004
    chain = smooth_line(
        [(-w, 0.335), (-w * 0.72, 0.385), (0.0, 0.418), (w * 0.72, 0.385), (w, 0.335)]
    )
    metal = pick(_METALS, look.p.metal)
    canvas.shade(canvas.shape(stroke(chain + (0, 0.014), 0.03), 0.006, True).scaled(0.5),
                 rgb(140, 104, 96))  # fmt: skip
    canvas.paint(canvas.shape(stroke(chain, 0.038), body=True), metal * np.float32(0.8), "neck_l")
    canvas.paint(canvas.shape(stroke(chain - (0, 0.006), 0.015), body=True),
                 np.minimum(metal * 1.2, 1))  # fmt: skip
    drop = canvas.shape(ellipse(0, 0.436, 0.028, 0.032), body=True)
    canvas.paint(drop, metal * np.float32(0.9), "neck_l")
    canvas.paint(canvas.shape(ellipse(-0.006, 0.428, 0.011, 0.012), 0.003, True), grey(1.0))


def paint_earrings(canvas: Canvas, look: Look) -> None:
    if not look.has["Wearing_Earrings"]:
        return
    metal = pick(_METALS, look.p.metal)
    x = look.half_width + 0.012
    ring = look.p.earring_style < 0.5
    rx, ry, y = (0.040, 0.043, 0.147) if ring else (0.032, 0.054, 0.156)
    shift = -0.5 * canvas.pose.yaw

    def drops(dx: float, dy: float, rx: float, ry: float, soft: float = 0.0) -> Layer:
        at = shift + dx
        return canvas.shape(
            [ellipse(x + at, y + dy, rx, ry), ellipse(at - x, y + dy, rx, ry)], soft
        )

    canvas.shade(drops(0, 0.01, rx, ry, 0.008).scaled(0.4), grey(0.5))
    canvas.paint(drops(0, 0, rx, ry), metal * np.float32(0.84), "ear_r")
    if ring:
        canvas.paint(drops(0, 0.006, 0.017, 0.019), metal * np.float32(0.5))
    canvas.paint(drops(-0.010, -0.016, 0.010, 0.013, 0.006), np.minimum(metal * np.float32(1.3), 1))


def paint_glasses(canvas: Canvas, look: Look) -> None:
    """Lenses keep the eyes in sight; the label fills the lenses, as in CelebAMask-HQ."""
    if not look.has["Eyeglasses"]:
        return
    p = look.p
    tone = pick(_FRAMES, p.glasses_colour)
    power = between(2.0, 4.5, p.glasses_style)
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    c, s = np.cos(angle), np.sin(angle)
    x = 0.084 * np.sign(c) * np.abs(c) ** (2 / power)
    y = 0.060 * np.sign(s) * np.abs(s) ** (2 / power)
    lens = np.stack([x + 0.101, y + 0.006], 1)
    closed = np.concatenate([lens, lens[:2]])
    edge = look.half_width
    temple = np.array([(0.18, -0.012), (edge + 0.006, -0.022)])
    canvas.paint(canvas.shape(pair(stroke(temple, 0.015))), tone)
    layer = canvas.shape(pair(lens))
    canvas.paint(layer.scaled(0.14), rgb(190, 214, 226))
    canvas.mark(layer, "eye_g")
    glare = np.array([(0.082, -0.045), (0.118, -0.050), (0.090, 0.052), (0.064, 0.046)])
    shine = canvas.shape([glare, glare - (0.2, 0)], 0.004).clipped(canvas.full(layer))
    canvas.paint(shine.scaled(0.16), grey(1.0))
    canvas.paint(canvas.shape(pair(stroke(closed, 0.021))), tone, "eye_g")
    bridge = smooth_line([(-0.022, -0.008), (0.0, -0.020), (0.022, -0.008)])
    canvas.paint(canvas.shape(stroke(bridge, 0.020)), tone, "eye_g")


def paint_hat(canvas: Canvas, look: Look, face: np.ndarray) -> None:
    """A knitted cap or a hat with a brim."""
    if not look.has["Wearing_Hat"]:
        return
    p = look.p
    tone = pick(_HATS, p.hat_colour)
    wide = look.half_width + 0.062
    brimmed = p.hat_style > 0.5
    t = np.linspace(-1, 1, 33)
    low = -0.150 + 0.022 * t**2
    bow = np.stack([wide * t, low], 1)
    crown = -0.150 - (0.235 if brimmed else 0.255) * np.power(1 - t**2, 0.36 if brimmed else 0.46)
    dome = np.concatenate([np.stack([wide * t, crown], 1), bow[::-1]])
    shadow = canvas.shape(dome + (0, 0.03), 0.014).clipped(face)
    canvas.shade(shadow.scaled(0.8), rgb(140, 104, 100))
    level = 0.95 + np.float32(0.9 * look.light[0]) * canvas.u - np.float32(0.5) * (canvas.v + 0.28)
    if not brimmed:
        level = level + np.float32(0.07) * np.sin(58 * np.arctan2(canvas.u, canvas.v + 0.75))
    field = times(level, tone)
    canvas.paint(canvas.shape(dome), field, "hat")
    if brimmed:
        band = np.concatenate([bow + (0, -0.002), (bow + (0, -0.055))[::-1] * (0.985, 1)])
        canvas.paint(canvas.shape(band), field * np.float32(0.52), "hat")
        brim = np.stack([(wide + 0.085) * t, -0.148 + 0.036 * t**2], 1)
        pen = 0.052 * np.power(1 - 0.9 * t**4, 0.5)
        canvas.paint(canvas.shape(stroke(brim, pen)), np.minimum(field * 1.1, 1), "hat")
    else:
        cuff = np.concatenate([bow + (0, 0.018), (bow + (0, -0.058))[::-1]]) * (1.02, 1)
        canvas.paint(canvas.shape(cuff), field * np.float32(0.80), "hat")
