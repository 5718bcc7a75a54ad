"""The values of one mask: classes that exist, and enough of them to be a face."""

from __future__ import annotations

import numpy as np

from facecond.data.doctor.findings import Finding
from facecond.labels import ANYTHING, MASK_CLASSES

SKIN = MASK_CLASSES.index("skin")
_BACKGROUND = 0


def check_values(name: str, mask: np.ndarray) -> list[Finding]:
    """Findings about the values of a mask uint8 [H, W] in any order with background 0."""
    count = np.bincount(mask.ravel(), minlength=256)
    wrong = [value for value in range(len(MASK_CLASSES), ANYTHING) if count[value]]
    if wrong:
        pixels = int(count[wrong].sum())
        listed = ", ".join(map(str, wrong[:6])) + (", ..." if len(wrong) > 6 else "")
        message = f"{pixels} pixels have values that are no class: {listed}"
        return [Finding("unknown-class", (name,), message, {"values": wrong, "pixels": pixels})]
    drawn = mask.size - int(count[_BACKGROUND]) - int(count[ANYTHING])
    if drawn == 0:
        only = "background" if count[ANYTHING] == 0 else "255 (anything)"
        only = only if 0 in (count[_BACKGROUND], count[ANYTHING]) else "background and 255"
        return [Finding("empty-mask", (name,), f"the mask is all {only}")]
    return []


def check_single(name: str, mask: np.ndarray) -> list[Finding]:
    """A finding if a mask in CelebAMask-HQ's order, none of it left open, has a single class."""
    count = np.bincount(mask.ravel(), minlength=256)
    drawn = [value for value in range(1, len(MASK_CLASSES)) if count[value]]
    if len(drawn) > 1 or count[ANYTHING]:
        return []
    only, share = MASK_CLASSES[drawn[0]], count[drawn[0]] / mask.size
    message = f"{only} is the only class drawn; it covers {share:.1%} of the mask"
    return [Finding("one-class", (name,), message, {"class": only})]


def check_skin(name: str, mask: np.ndarray) -> list[Finding]:
    """A finding if a mask in CelebAMask-HQ's order, none of it left open, has no skin."""
    count = np.bincount(mask.ravel(), minlength=256)
    if count[SKIN] or count[ANYTHING]:
        return []
    share = 1 - count[_BACKGROUND] / mask.size
    message = f"no skin among the classes drawn, which cover {share:.1%} of the mask"
    return [Finding("no-skin", (name,), message)]
