"""The vocabulary: 40 CelebA attributes, 19 CelebAMask-HQ classes, their colours and symmetries."""

from __future__ import annotations

import math

import numpy as np

from facecond.errors import UserError, nearest

ATTRIBUTES: tuple[str, ...] = (
    "5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs",
    "Big_Lips", "Big_Nose", "Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair", "Bushy_Eyebrows",
    "Chubby", "Double_Chin", "Eyeglasses", "Goatee", "Gray_Hair", "Heavy_Makeup",
    "High_Cheekbones", "Male", "Mouth_Slightly_Open", "Mustache", "Narrow_Eyes", "No_Beard",
    "Oval_Face", "Pale_Skin", "Pointy_Nose", "Receding_Hairline", "Rosy_Cheeks", "Sideburns",
    "Smiling", "Straight_Hair", "Wavy_Hair", "Wearing_Earrings", "Wearing_Hat",
    "Wearing_Lipstick", "Wearing_Necklace", "Wearing_Necktie", "Young",
)  # fmt: skip
"""CelebA's order, as in `list_attr_celeba.txt`."""

PRESENT, ABSENT, UNSPECIFIED = 1, 0, -1
"""Attribute values in memory (int8)."""

APPEARANCE: frozenset[str] = frozenset(
    {
        "5_o_Clock_Shadow", "Attractive", "Bags_Under_Eyes", "Black_Hair", "Blond_Hair", "Blurry",
        "Brown_Hair", "Goatee", "Gray_Hair", "Heavy_Makeup", "Male", "Mustache", "No_Beard",
        "Pale_Skin", "Rosy_Cheeks", "Sideburns", "Straight_Hair", "Wavy_Hair", "Wearing_Lipstick",
        "Young",
    }
)  # fmt: skip
"""Attributes that a mask leaves open, by what their names mean: they can change while it stays.

`attribute_split` answers another question: which attributes a mask *predicts*. It tells the sex,
and with it make-up and beards, of most people; yet a given mask can be given either.
"""

EXCLUSIVE: tuple[tuple[str, ...], ...] = (
    ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair", "Bald"),
    ("Straight_Hair", "Wavy_Hair"),
    ("Bangs", "Receding_Hairline"),
    ("Oval_Face", "Chubby"),
    *(("No_Beard", name) for name in ("Goatee", "Mustache", "5_o_Clock_Shadow")),
)
"""At most one attribute of each group is present; switching one leaves the others open."""

MASK_CLASSES: tuple[str, ...] = (
    "background", "skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear",
    "mouth", "u_lip", "l_lip", "hair", "hat", "ear_r", "neck_l", "neck", "cloth",
)  # fmt: skip
"""CelebAMask-HQ's own order. `l_` is the subject's left: the right side of the picture."""

ANYTHING = 255
"""Mask value of a pixel whose class is left open."""

MIRRORED_CLASSES: tuple[tuple[int, int], ...] = ((4, 5), (6, 7), (8, 9))
"""Classes that trade places when a picture is flipped left to right."""

COLOUR_ATTRIBUTES: frozenset[str] = frozenset(
    {
        "5_o_Clock_Shadow", "Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair", "Heavy_Makeup",
        "Pale_Skin", "Rosy_Cheeks", "Wearing_Lipstick",
    }
)  # fmt: skip
"""Attributes that a change of hue, saturation or brightness would make untrue."""

PALETTE: np.ndarray = np.array(
    [
        (24, 26, 32), (233, 178, 150), (214, 134, 104), (73, 190, 197), (64, 108, 214),
        (104, 158, 240), (120, 84, 60), (158, 112, 78), (226, 150, 170), (204, 112, 142),
        (122, 28, 44), (212, 62, 84), (238, 104, 116), (128, 88, 196), (238, 196, 72),
        (250, 240, 140), (196, 226, 110), (196, 140, 116), (84, 158, 110),
    ],
    dtype=np.uint8,
)  # fmt: skip
"""RGB colour of each mask class, uint8 [19, 3]."""

ANYTHING_COLOUR: tuple[int, int, int] = (150, 152, 158)

LARGEST_SCALE = 100.0
"""Greatest scale of guidance that is taken as text: far beyond any of use, far below those whose
pictures are no longer finite."""

LABEL_ORDERS: dict[str, tuple[str, ...]] = {
    "celebamask": MASK_CLASSES,
    "bisenet": (
        "background", "skin", "l_brow", "r_brow", "l_eye", "r_eye", "eye_g", "l_ear", "r_ear",
        "ear_r", "nose", "mouth", "u_lip", "l_lip", "neck", "neck_l", "cloth", "hair", "hat",
    ),
}  # fmt: skip
"""Known label orders by name; `bisenet` is that of face-parsing.PyTorch."""


def attribute_index(name: str) -> int:
    """Column of an attribute; raises `UserError` with the nearest name when there is none."""
    if name not in ATTRIBUTES:
        raise UserError(f"unknown attribute '{name}'", "attributes", nearest(name, ATTRIBUTES))
    return ATTRIBUTES.index(name)


def exclusive_with(name: str) -> list[int]:
    """Columns of the attributes that exclude `name` or are excluded by it, without its own."""
    others = {other for group in EXCLUSIVE if name in group for other in group} - {name}
    return sorted(ATTRIBUTES.index(other) for other in others)


def check_exclusive(values: np.ndarray, where: str = "attributes") -> None:
    """Raise `UserError` where two attributes of int8 [40] are present that exclude each other."""
    for group in EXCLUSIVE:
        on = [name for name in group if values[ATTRIBUTES.index(name)] == PRESENT]
        if len(on) > 1:
            what = f"{on[0]} and {on[1]} exclude each other"
            raise UserError(what, where, f"Leave one out, or write -{on[1]}.")


def parse_attributes(text: str) -> np.ndarray:
    """`"Smiling,-Eyeglasses"` -> int8 [40]: named present, with a minus absent, others -1."""
    values, emphasis = parse_emphasis(text)
    if emphasis:
        name = next(iter(emphasis))
        raise UserError(f"'{name}' has a scale", "attributes", f"Name {name} alone here.")
    return values


def parse_emphasis(text: str) -> tuple[np.ndarray, dict[str, float]]:
    """`"Smiling=1.5,-Eyeglasses"` -> int8 [40] as `parse_attributes`, and a scale from 0 to
    `LARGEST_SCALE` by name."""
    values = np.full(len(ATTRIBUTES), UNSPECIFIED, np.int8)
    emphasis: dict[str, float] = {}
    for word in (part.strip() for part in text.split(",")):
        if not word:
            continue
        name, equals, number = (part.strip() for part in word.partition("="))
        index = attribute_index(name.lstrip("+-"))
        if values[index] != UNSPECIFIED:
            raise UserError(f"'{ATTRIBUTES[index]}' is named twice", "attributes", "Name it once.")
        values[index] = ABSENT if name.startswith("-") else PRESENT
        if equals:
            emphasis[ATTRIBUTES[index]] = _emphasis(number, ATTRIBUTES[index])
    return values, emphasis


def _emphasis(text: str, name: str) -> float:
    try:
        scale = float(text)
    except ValueError:
        scale = math.nan
    if not 0 <= scale <= LARGEST_SCALE:
        what = f"'{text}' is no scale of '{name}'"
        fix = f"Write {name}=1.5: a number from 0 to {LARGEST_SCALE:g}."
        raise UserError(what, "attributes", fix)
    return scale


def format_attributes(values: np.ndarray) -> str:
    """int8 [40] -> the text that `parse_attributes` reads."""
    words = {PRESENT: "", ABSENT: "-"}
    return ",".join(words[int(v)] + n for n, v in zip(ATTRIBUTES, values, strict=True) if v >= 0)


def mirror_mask(mask: np.ndarray) -> np.ndarray:
    """Flip a label mask [..., H, W] left to right and swap the left and right classes."""
    table = np.arange(256, dtype=np.uint8)
    for left, right in MIRRORED_CLASSES:
        table[left], table[right] = right, left
    return table[mask[..., ::-1]]


def colour_mask(mask: np.ndarray) -> np.ndarray:
    """Label mask uint8 [..., H, W] -> RGB uint8 [..., H, W, 3]; 255 is shown grey."""
    table = np.full((256, 3), ANYTHING_COLOUR, np.uint8)
    table[: len(PALETTE)] = PALETTE
    return table[mask]
