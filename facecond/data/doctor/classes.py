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
    """A finding if a mask uint8 [H, W], none of it left open, has a single class."""
    value = single_class(mask)
    if value is None or (mask == ANYTHING).any():
        return []
    message = f"{value} is the only class drawn; it covers {(mask == value).mean():.1%} of the mask"
    return [Finding("one-class", (name,), message, {"class": value})]


def single_class(mask: np.ndarray) -> int | None:
    """The class of a mask that draws one beside the background, else None."""
    drawn = np.setdiff1d(mask, [_BACKGROUND, ANYTHING])
    return int(drawn[0]) if len(drawn) == 1 else None


def check_skin(name: str, mask: np.ndarray) -> list[Finding]:
    """A finding if a mask in CelebAMask-HQ's order, none of it left open, has no skin."""
    count = np.bincount(mask.ravel(), minlength=256)
    if count[SKIN] or count[ANYTHING]:
        return []
    share = 1 - count[_BACKGROUND] / mask.size
    message = f"no skin among the classes drawn, which cover {share:.1%} of the mask"
    return [Finding("no-skin", (name,), message)]
