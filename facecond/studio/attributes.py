"""The 40 attributes as people think of them: by region, in presets, by surprise."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from facecond.data.rendered import render
from facecond.errors import UserError, quoted
from facecond.labels import ABSENT, ATTRIBUTES, EXCLUSIVE, PRESENT, UNSPECIFIED, attribute_index
from facecond.seeding import numpy_generator

GROUPS: dict[str, tuple[str, ...]] = {
    "Person": ("Male", "Young", "Attractive", "Pale_Skin", "Blurry"),
    "Hair": (
        "Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair", "Straight_Hair", "Wavy_Hair",
        "Bangs", "Receding_Hairline", "Bald",
    ),
    "Face": (
        "Oval_Face", "Chubby", "Double_Chin", "High_Cheekbones", "Rosy_Cheeks", "Heavy_Makeup",
    ),
    "Eyes and brows": (
        "Arched_Eyebrows", "Bushy_Eyebrows", "Narrow_Eyes", "Bags_Under_Eyes",
    ),
    "Nose and mouth": (
        "Big_Nose", "Pointy_Nose", "Smiling", "Mouth_Slightly_Open", "Big_Lips",
        "Wearing_Lipstick",
    ),
    "Beard": ("No_Beard", "5_o_Clock_Shadow", "Goatee", "Mustache", "Sideburns"),
    "Worn": (
        "Eyeglasses", "Wearing_Hat", "Wearing_Earrings", "Wearing_Necklace", "Wearing_Necktie",
    ),
}  # fmt: skip
"""Region -> attributes; each of the 40 once."""

PRESETS: dict[str, str] = {
    "Professor": "Male,Gray_Hair,Eyeglasses,-Young,Receding_Hairline,Bushy_Eyebrows",
    "Red carpet": "-Male,Wavy_Hair,Brown_Hair,Heavy_Makeup,Wearing_Lipstick,Wearing_Earrings",
    "Lumberjack": "Male,Brown_Hair,-No_Beard,Bushy_Eyebrows,Mustache",
    "Summer": "Blond_Hair,Smiling,Rosy_Cheeks,Young,-Eyeglasses",
    "Noir": "Black_Hair,Pale_Skin,Wearing_Hat,-Smiling,Narrow_Eyes",
    "Grandmother": "-Male,Gray_Hair,-Young,Smiling,Wearing_Necklace,Chubby",
}
"""Name -> attributes, in the words that `--attributes` takes."""

SURPRISES = (4, 7)
"""How many attributes a surprise sets, at least and at most."""


def attribute_values(chosen: Mapping[str, int]) -> np.ndarray:
    """`{"Smiling": 1, "Eyeglasses": 0}` -> int8 [40]; what is not named is unspecified.

    Raises:
        UserError: an unknown name, a value other than 1, 0 and -1, or two attributes on that
            exclude each other.
    """
    values = np.full(len(ATTRIBUTES), UNSPECIFIED, np.int8)
    if len(chosen) > len(ATTRIBUTES):
        what = f"{len(chosen)} attributes are named, there are {len(ATTRIBUTES)}"
        raise UserError(what, "attributes", "Name each once.")
    for name, value in chosen.items():
        if isinstance(value, bool) or value not in (PRESENT, ABSENT, UNSPECIFIED):
            what = f"{quoted(name)} is {quoted(value)}"
            raise UserError(what, "attributes", "Use 1 for on, 0 for off, -1 for open.")
        values[attribute_index(str(name))] = value
    for group in EXCLUSIVE:
        on = [name for name in group if values[ATTRIBUTES.index(name)] == PRESENT]
        if len(on) > 1:
            what = f"{spoken(on[0])} and {spoken(on[1])} exclude each other"
            raise UserError(what, "attributes", "Switch one of them off.")
    return values


def surprise(seed: int) -> dict[str, int]:
    """A few attributes that go together, drawn by seed: name -> 1 or 0."""
    drawn = render(seed, 0, 64).attributes
    numbers = numpy_generator(seed, "surprise")
    on = numbers.permutation(np.flatnonzero(drawn == PRESENT))
    kept: dict[str, int] = {}
    for index in on[: int(numbers.integers(SURPRISES[0], SURPRISES[1] + 1))]:
        name = ATTRIBUTES[index]
        taken = {other for group in EXCLUSIVE if name in group for other in group} & set(kept)
        if name != "Blurry" and not taken:
            kept[name] = PRESENT
    for name in ("Male", "Young"):
        kept.setdefault(name, int(drawn[ATTRIBUTES.index(name)] == PRESENT))
    return kept


def spoken(name: str) -> str:
    """`Mouth_Slightly_Open` -> "mouth slightly open"; `5_o_Clock_Shadow` -> "5 o'clock shadow"."""
    return name.replace("_o_Clock", " o'clock").replace("_", " ").lower()
