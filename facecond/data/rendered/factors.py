"""Two planted factors of a rendered face: geometry, which moves the mask, and appearance.

Every parameter and every attribute belongs to one of them, so that geometry g with appearance a
has bitwise the mask of g, and shows every appearance attribute of a that its geometry leaves in
sight. Nothing is adjusted to make the two agree: a woman's head may get a beard and a man's head
make-up, as in faces that are drawn with independent attributes. A bald head has no hair colour
(stated absent); the drawn colour still tints its brows and beard.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace

from facecond.data.rendered.attributes import CLAIMED
from facecond.data.rendered.parameters import FaceParameters

APPEARANCE_ATTRIBUTES: tuple[str, ...] = (
    "5_o_Clock_Shadow", "Bags_Under_Eyes", "Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair",
    "Goatee", "Gray_Hair", "Heavy_Makeup", "High_Cheekbones", "Mustache", "No_Beard", "Pale_Skin",
    "Rosy_Cheeks", "Wearing_Lipstick", "Young",
)  # fmt: skip
"""Claimed attributes of rendered faces that never move the mask, in CelebA's order."""

GEOMETRY_ATTRIBUTES: tuple[str, ...] = tuple(n for n in CLAIMED if n not in APPEARANCE_ATTRIBUTES)
"""The other claimed attributes. The texture of hair is one: waves and curls ruffle its outline."""

APPEARANCE_PARAMETERS: tuple[str, ...] = (
    "light_side", "light_height", "warmth", "skin_tone", "skin_hue", "iris_hue", "gaze",
    "lip_colour", "makeup_colour", "hair_shade", "cloth_colour", "cloth_shade", "tie_colour",
    "metal", "glasses_colour", "hat_colour", "backdrop_hue", "backdrop_shade", "backdrop_angle",
    "bokeh", "freckles",
)  # fmt: skip
"""Fields of `FaceParameters` that never move the mask."""

GEOMETRY_PARAMETERS: tuple[str, ...] = tuple(
    field.name for field in fields(FaceParameters) if field.name not in APPEARANCE_PARAMETERS
)

Drawn = tuple[FaceParameters, Mapping[str, bool]]
"""What `draw_face` gives: parameters and drawn attribute values."""


def combine(geometry: Drawn, appearance: Drawn) -> tuple[FaceParameters, dict[str, bool]]:
    """The geometry of one drawn face with the appearance of another."""
    parameters, values = geometry
    other, others = appearance
    looks = {name: getattr(other, name) for name in APPEARANCE_PARAMETERS}
    # `Beard` is drawn too, though CelebA has no name for it; `No_Beard` follows from the others.
    shown = {name: on for name, on in others.items() if name not in GEOMETRY_ATTRIBUTES}
    return replace(parameters, **looks), {**values, **shown}
