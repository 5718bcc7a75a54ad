"""Everything about a face that is not an attribute, drawn in a fixed order."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from facecond.data.rendered.attributes import draw_attributes
from facecond.labels import ATTRIBUTES
from facecond.seeding import numpy_generator


@dataclass(frozen=True)
class FaceParameters:
    """Uniform numbers in [0, 1), one a quantity; each part of the drawing maps its own to a range.

    The order of the fields is the order of drawing: an attribute never moves it, so that the rest
    of the face stays as it is.
    """

    shift_x: float
    shift_y: float
    scale: float
    roll: float
    yaw: float
    light_side: float
    light_height: float
    warmth: float
    skin_tone: float
    skin_hue: float
    head_width: float
    head_length: float
    jaw: float
    ear_size: float
    eye_gap: float
    eye_width: float
    eye_open: float
    eye_tilt: float
    iris_hue: float
    gaze: float
    brow_arch: float
    brow_thickness: float
    brow_height: float
    nose_width: float
    nose_length: float
    mouth_width: float
    lip_fullness: float
    smile: float
    mouth_open: float
    lip_colour: float
    makeup_colour: float
    hair_shade: float
    hair_length: float
    hair_volume: float
    hair_part: float
    hair_tuck: float
    hair_phase: float
    hairline: float
    cloth_colour: float
    cloth_shade: float
    tie_colour: float
    metal: float
    earring_style: float
    glasses_style: float
    glasses_colour: float
    hat_style: float
    hat_colour: float
    backdrop_hue: float
    backdrop_shade: float
    backdrop_angle: float
    bokeh: float
    freckles: float


_NAMES = tuple(field.name for field in fields(FaceParameters))


def draw_face(seed: int, index: int, correlated: bool) -> tuple[FaceParameters, dict[str, bool]]:
    """Parameters and drawn attribute values of face `index`.

    When `correlated`, hair is longer on women, fair hair goes with fair skin and black hair with
    dark eyes: as drawn, so that an override of sex or hair colour does not move the others.
    """
    numbers = numpy_generator(seed, "rendered-face", index)
    uniforms = numbers.random(len(ATTRIBUTES))
    values = dict(zip(_NAMES, numbers.random(len(_NAMES)).tolist(), strict=True))
    drawn = draw_attributes(uniforms, correlated)
    if correlated:
        length = values["hair_length"]
        values["hair_length"] = 0.72 * length if drawn["Male"] else 0.22 + 0.78 * length
        if not (drawn["Black_Hair"] or drawn["Gray_Hair"]):
            values["skin_tone"] *= 0.85 if drawn["Brown_Hair"] else 0.5
        if drawn["Black_Hair"]:
            values["iris_hue"] *= 0.6
    return FaceParameters(**values), drawn


def between(low: float, high: float, uniform: float) -> float:
    """Uniform number in [0, 1) -> [low, high)."""
    return low + (high - low) * uniform


def pick(colours: np.ndarray, uniform: float) -> np.ndarray:
    """Row of a palette [n, 3] (0..255), blended between neighbours, as float32 in 0..1."""
    position = uniform * (len(colours) - 1)
    low = int(position)
    mixed = colours[low] + (position - low) * (
        colours[min(low + 1, len(colours) - 1)] - colours[low]
    )
    return (mixed / 255).astype(np.float32)
