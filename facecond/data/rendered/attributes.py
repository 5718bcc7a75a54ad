"""Which attributes a face has: base rates, correlations, overrides, contradictions.

The rules, in the order in which they apply:

1. Every attribute is drawn from one uniform number of its own; hair colours, hair textures and
   beards are drawn as one choice among alternatives.
2. An override replaces the drawn value. A drawn value that contradicts an override gives way
   (`_RIVALS`); two overrides that contradict each other are an error. Naming an attribute, present
   or absent, clears what would hide it, so that a pair of pictures with the attribute on and off
   differs in nothing else.
3. What cannot be seen is not stated: see `visible_values`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from facecond.errors import UserError
from facecond.labels import ATTRIBUTES, UNSPECIFIED, attribute_index

UNCLAIMED: dict[str, str] = {
    "Attractive": "a judgement of the beholder; nothing in a picture makes it true or false",
}
"""Attributes that the drawing does not show (always -1), with the reason."""

CLAIMED: tuple[str, ...] = tuple(name for name in ATTRIBUTES if name not in UNCLAIMED)
"""Attributes that the drawing shows at 64 px and above."""

HAIR_COLOURS = ("Black_Hair", "Brown_Hair", "Blond_Hair", "Gray_Hair")
HAIR_TEXTURES = ("Straight_Hair", "Wavy_Hair")
HAIR_ATTRIBUTES = (*HAIR_COLOURS, *HAIR_TEXTURES, "Bangs", "Receding_Hairline", "Sideburns")
"""Attributes of hair on the head: absent on a bald head."""

# P(present): (either way, for women, for men); the first is used when correlated is off.
_RATES: dict[str, tuple[float, float, float]] = {
    "5_o_Clock_Shadow": (0.22, 0.0, 0.40),
    "Arched_Eyebrows": (0.42, 0.62, 0.24),
    "Bags_Under_Eyes": (0.32, 0.26, 0.38),
    "Bald": (0.13, 0.02, 0.24),
    "Bangs": (0.32, 0.40, 0.22),
    "Big_Lips": (0.38, 0.46, 0.30),
    "Big_Nose": (0.38, 0.28, 0.48),
    "Blurry": (0.10, 0.10, 0.10),
    "Bushy_Eyebrows": (0.38, 0.26, 0.52),
    "Chubby": (0.27, 0.24, 0.30),
    "Double_Chin": (0.25, 0.20, 0.30),
    "Eyeglasses": (0.25, 0.20, 0.30),
    "Heavy_Makeup": (0.34, 0.58, 0.06),
    "High_Cheekbones": (0.42, 0.50, 0.34),
    "Male": (0.48, 0.0, 0.0),
    "Mouth_Slightly_Open": (0.48, 0.50, 0.46),
    "Mustache": (0.22, 0.0, 0.38),
    "Narrow_Eyes": (0.34, 0.32, 0.36),
    "Oval_Face": (0.45, 0.52, 0.38),
    "Pale_Skin": (0.25, 0.28, 0.22),
    "Pointy_Nose": (0.42, 0.48, 0.36),
    "Receding_Hairline": (0.30, 0.14, 0.46),
    "Rosy_Cheeks": (0.32, 0.42, 0.22),
    "Sideburns": (0.26, 0.02, 0.50),
    "Smiling": (0.50, 0.56, 0.44),
    "Wearing_Earrings": (0.36, 0.56, 0.14),
    "Wearing_Hat": (0.20, 0.20, 0.20),
    "Wearing_Lipstick": (0.38, 0.64, 0.08),
    "Wearing_Necklace": (0.32, 0.46, 0.16),
    "Wearing_Necktie": (0.24, 0.08, 0.40),
    "Young": (0.62, 0.66, 0.58),
}

_NEEDS_HAIR = ("Bald",)
_HATLESS = ("Wearing_Hat",)
# Naming the key turns off the drawn values beside it.
_RIVALS: dict[str, tuple[str, ...]] = {
    "5_o_Clock_Shadow": ("Beard",),
    "Goatee": ("Beard",),
    "Bald": _HATLESS,
    "Bangs": ("Receding_Hairline", *_NEEDS_HAIR, *_HATLESS),
    "Receding_Hairline": ("Bangs", *_NEEDS_HAIR, *_HATLESS),
    "Straight_Hair": (*_NEEDS_HAIR, *_HATLESS),
    "Wavy_Hair": (*_NEEDS_HAIR, *_HATLESS),
    "Sideburns": _NEEDS_HAIR,
    "Chubby": ("Oval_Face",),
    "Oval_Face": ("Chubby",),
    **dict.fromkeys(HAIR_COLOURS, _NEEDS_HAIR),
}

_CONTRADICTIONS: tuple[tuple[str, ...], ...] = (
    HAIR_COLOURS,
    HAIR_TEXTURES,
    ("Bangs", "Receding_Hairline", "Wearing_Hat"),
    ("Bald", "Wearing_Hat"),
    ("Oval_Face", "Chubby"),
    ("No_Beard", "Goatee"),
    *(("Bald", name) for name in HAIR_ATTRIBUTES),
)
"""At most one attribute of each group can be present."""


def draw_attributes(uniforms: np.ndarray, correlated: bool) -> dict[str, bool]:
    """Attribute values from float [40] in [0, 1), one number an attribute.

    Besides the claimed names the result holds `Beard`, a full beard, which CelebA has no name for.
    Values that a rival hides are kept, so that clearing the rival shows them.
    """
    u = dict(zip(ATTRIBUTES, uniforms.tolist(), strict=True))
    male, young = u["Male"] < _RATES["Male"][0], u["Young"] < _RATES["Young"][0]
    column = 0 if not correlated else 2 if male else 1
    drawn = {name: u[name] < rates[column] for name, rates in _RATES.items()}
    drawn["Male"] = male
    if correlated:
        drawn["Young"] = young = u["Young"] < _RATES["Young"][column]

    shares = [0.25, 0.24, 0.20, 0.18]  # black, brown, blond, grey; the rest is auburn
    if correlated:
        shares = [0.29, 0.28, 0.25, 0.06] if young else [0.18, 0.18, 0.13, 0.40]
    drawn |= _choice(u["Black_Hair"], dict(zip(HAIR_COLOURS, shares, strict=True)))
    straight = 0.44 if not correlated else 0.50 if male else 0.40
    drawn |= _choice(u["Straight_Hair"], {"Straight_Hair": straight, "Wavy_Hair": 0.36})
    goatee, beard = (0.20, 0.20) if not correlated else (0.32, 0.26) if male else (0.0, 0.0)
    drawn |= _choice(u["No_Beard"], {"Goatee": goatee, "Beard": beard})
    if drawn["Chubby"]:
        drawn["Oval_Face"] = False
    if drawn["Bangs"]:
        drawn["Receding_Hairline"] = False
    return drawn


def _choice(uniform: float, shares: Mapping[str, float]) -> dict[str, bool]:
    """At most one of the names, each with its share of [0, 1)."""
    chosen, low = {}, 0.0
    for name, share in shares.items():
        chosen[name] = low <= uniform < low + share
        low += share
    return chosen


def apply_overrides(drawn: Mapping[str, bool], overrides: Mapping[str, bool]) -> dict[str, bool]:
    """Drawn values with the overrides in force and drawn contradictions resolved.

    Raises `UserError` for an unknown or unclaimed name and for overrides that contradict each
    other.
    """
    _check(overrides)
    values = dict(drawn)
    for name, on in overrides.items():
        for rival in _RIVALS.get(name, ()):
            if rival not in overrides:
                values[rival] = False
        for group in (HAIR_COLOURS, HAIR_TEXTURES):
            if on and name in group:
                values.update(dict.fromkeys(group, False))
    for name, on in overrides.items():
        if name == "No_Beard":
            continue
        values[name] = on
    if "No_Beard" in overrides:
        values = _beard(values, overrides)
    if values["Goatee"]:
        values["Beard"] = False
    if values["Beard"]:
        values["5_o_Clock_Shadow"] = False
    return values


def _beard(values: dict[str, bool], overrides: Mapping[str, bool]) -> dict[str, bool]:
    """`No_Beard` shaves beard and goatee; its absence grows a full beard where there is none."""
    if overrides["No_Beard"]:
        return {**values, "Goatee": False, "Beard": False}
    return {**values, "Beard": not values["Goatee"]}


def _check(overrides: Mapping[str, bool]) -> None:
    for name in overrides:
        attribute_index(name)
        if name in UNCLAIMED:
            raise UserError(
                f"'{name}' cannot be drawn: {UNCLAIMED[name]}", "overrides", "Leave it out."
            )
    present = {name for name, on in overrides.items() if on}
    for group in _CONTRADICTIONS:
        both = [name for name in group if name in present]
        if len(both) > 1:
            raise UserError(
                f"'{both[0]}' and '{both[1]}' contradict each other", "overrides", "Keep one."
            )


def visible_values(values: Mapping[str, bool], short_hair: bool) -> np.ndarray:
    """int8 [40] as true of the picture.

    Bald: hair attributes are absent. A hat hides bangs and hairline, the texture of short hair,
    and whether a head without visible hair is bald: these become -1.
    """
    stated = {**values, "No_Beard": not (values["Beard"] or values["Goatee"])}
    hidden = set(UNCLAIMED)
    if values["Wearing_Hat"]:
        hidden |= {"Bangs", "Receding_Hairline"}
        if values["Bald"]:
            hidden |= {"Bald"}
        elif short_hair:
            hidden |= set(HAIR_TEXTURES)
    if values["Bald"]:
        stated |= dict.fromkeys(HAIR_ATTRIBUTES, False)
    return np.array([UNSPECIFIED if n in hidden else int(stated[n]) for n in ATTRIBUTES], np.int8)
