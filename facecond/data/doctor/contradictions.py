"""Attributes against the mask: what one of the two says cannot be so by the other.

Only pairs that real annotations respect are compared: Wearing_Earrings, Wearing_Necklace or an
open mouth are marked without a region in the mask too often (a quarter of the faces and more).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facecond.data.doctor.findings import Finding
from facecond.data.doctor.geometry import Places
from facecond.labels import ABSENT, MASK_CLASSES, PRESENT, attribute_index


@dataclass(frozen=True)
class Rule:
    """An attribute value that contradicts the area of a class.

    Attributes:
        code: key of `findings.KINDS`.
        attribute, value: what the table says.
        part: the class of the mask.
        low, high: the contradiction holds while low <= area < high, as shares of the picture.
    """

    code: str
    attribute: str
    value: int
    part: str
    low: float
    high: float


RULES: tuple[Rule, ...] = (
    Rule("glasses-not-in-mask", "Eyeglasses", PRESENT, "eye_g", 0.0, 0.002),
    Rule("glasses-not-in-table", "Eyeglasses", ABSENT, "eye_g", 0.02, 1.1),
    Rule("hat-not-in-mask", "Wearing_Hat", PRESENT, "hat", 0.0, 0.005),
    # Hair bands and scarves are drawn as hats too: only a large hat contradicts the table.
    Rule("hat-not-in-table", "Wearing_Hat", ABSENT, "hat", 0.125, 1.1),
    Rule("bald-with-hair", "Bald", PRESENT, "hair", 0.2, 1.1),
)


def contradictions(name: str, attributes: np.ndarray, where: Places, known: float) -> list[Finding]:
    """Compare int8 [40] with the areas of a mask in CelebAMask-HQ's order.

    Args:
        name: of the face.
        attributes: 1 present, 0 absent, -1 unspecified.
        where: places of the mask's classes.
        known: share of the mask that is not left open; nothing can be missing from an open mask.
    """
    found = []
    for rule in RULES:
        area = float(where.area[MASK_CLASSES.index(rule.part)])
        if attributes[attribute_index(rule.attribute)] != rule.value:
            continue
        if not rule.low <= area < rule.high or (rule.low == 0 and known < 0.99):
            continue
        says = f"{rule.attribute} is {rule.value}"
        message = f"{says}, and {rule.part} covers {area:.1%} of the mask"
        found.append(Finding(rule.code, (name,), message, {"area": round(area, 4)}))
    return found
