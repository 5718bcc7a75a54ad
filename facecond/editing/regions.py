"""Which pixels of a face an edit may change, and how the change ends at their border."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from facecond.errors import UserError, nearest
from facecond.labels import ANYTHING, ATTRIBUTES, MASK_CLASSES, UNSPECIFIED

REGIONS: dict[str, tuple[str, ...]] = {
    **{name: (name,) for name in MASK_CLASSES},
    "eyes": ("l_eye", "r_eye"),
    "brows": ("l_brow", "r_brow"),
    "ears": ("l_ear", "r_ear"),
    "mouth": ("mouth", "u_lip", "l_lip"),
    "face": ("skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "mouth", "u_lip",
             "l_lip"),
    "head": ("skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "mouth", "u_lip",
             "l_lip", "hair", "l_ear", "r_ear", "neck"),
    "all": MASK_CLASSES,
}  # fmt: skip
"""Name of a region -> mask classes. `mouth` is the lips and what is between them."""


@dataclass(frozen=True)
class Area:
    """Where an attribute shows.

    Attributes:
        regions: of `REGIONS`.
        reach: share of the picture's side by which it goes beyond them. Above 0 it also changes the
            layout: there the mask is left open, or it would hold the old shape.
        over: what it may go over, of `REGIONS`.
    """

    regions: tuple[str, ...]
    reach: float = 0.0
    over: tuple[str, ...] = ("all",)


def _feature(reach: float, *regions: str) -> Area:
    """A part of the face that changes its shape over skin, and moves no outline of the head."""
    return Area(regions, reach, ("face",))


_HAIR, _BEARD, _FACE = Area(("hair",)), Area(("skin", "mouth")), Area(("face",))
AREAS: dict[str, Area] = {
    **dict.fromkeys(("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair"), _HAIR),
    **dict.fromkeys(("5_o_Clock_Shadow", "Goatee", "Mustache", "No_Beard"), _BEARD),
    **dict.fromkeys(("Attractive", "Heavy_Makeup"), _FACE),
    **dict.fromkeys(("Bags_Under_Eyes", "Rosy_Cheeks"), Area(("skin",))),
    **dict.fromkeys(("Male", "Young"), Area(("head",))),
    **dict.fromkeys(("Chubby", "Oval_Face"), Area(("head",), 0.05)),
    **dict.fromkeys(("Big_Nose", "Pointy_Nose"), _feature(0.06, "nose")),
    **dict.fromkeys(("Arched_Eyebrows", "Bushy_Eyebrows"), _feature(0.05, "brows")),
    **dict.fromkeys(("Straight_Hair", "Wavy_Hair"), Area(("hair",), 0.06)),
    "Bald": Area(("hair", "hat"), 0.06),
    "Bangs": Area(("hair",), 0.12),
    "Big_Lips": _feature(0.04, "mouth"),
    "Blurry": Area(("all",)),
    "Double_Chin": Area(("skin", "neck"), 0.04),
    "Eyeglasses": Area(("eyes", "brows", "eye_g"), 0.1),
    "High_Cheekbones": _feature(0.02, "skin"),
    "Mouth_Slightly_Open": _feature(0.06, "mouth"),
    "Narrow_Eyes": _feature(0.04, "eyes"),
    "Pale_Skin": Area(("skin", "nose", "ears", "neck")),
    "Receding_Hairline": Area(("hair",), 0.06),
    "Sideburns": Area(("hair", "skin", "ears")),
    "Smiling": _feature(0.08, "mouth"),
    "Wearing_Earrings": Area(("ears", "ear_r"), 0.08),
    "Wearing_Hat": Area(("hair", "hat"), 0.15),
    "Wearing_Lipstick": Area(("mouth",)),
    "Wearing_Necklace": Area(("neck", "neck_l"), 0.03),
    "Wearing_Necktie": Area(("cloth", "neck"), 0.03),
}
"""Attribute -> where it shows, on any face; each of the 40 once."""

EDGE = 0.05
"""Width of the soft edge around a region, as a share of the picture's side."""


def region_names(text: str | Iterable[str]) -> tuple[str, ...]:
    """`"hair,ears"` -> names of regions; raises `UserError` with the nearest name."""
    words = text.split(",") if isinstance(text, str) else list(text)
    names = tuple(word.strip() for word in words if word.strip())
    for name in names:
        if name not in REGIONS:
            raise UserError(f"unknown region '{name}'", "region", nearest(name, REGIONS))
    if not names:
        raise UserError("no region is named", "region", f"Choose from: {', '.join(REGIONS)}.")
    return names


def pixels_of(layout: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Pixels of a layout uint8 [S, S] that belong to regions, bool [S, S]."""
    classes = {MASK_CLASSES.index(part) for name in names for part in REGIONS[name]}
    return np.isin(layout, sorted(classes))


def grown(pixels: np.ndarray, reach: float) -> np.ndarray:
    """Pixels bool [S, S] and those nearer to them than `reach` sides, bool [S, S]."""
    return pixels if reach == 0 else _distance(pixels) <= reach * len(pixels)


@dataclass(frozen=True)
class Plan:
    """What an edit asks of a face.

    Attributes:
        changed: pixels that it may change, bool [S, S].
        layout: mask that the new face is drawn under, uint8 [S, S]; 255 = anything.
    """

    changed: np.ndarray
    layout: np.ndarray


def plan_edit(
    layout: np.ndarray,
    turned: np.ndarray,
    new_layout: np.ndarray | None = None,
    region: Sequence[str] | None = None,
) -> Plan:
    """Find the pixels to change and the layout to draw.

    Args:
        layout: the face's own, uint8 [S, S].
        turned: attributes that are set, int8 [40]; -1 = as they were.
        new_layout: the layout wanted; None = its own, but for shapes that attributes change.
        region: regions that all changes keep to, in either layout; None = where each attribute
            shows, and where the layouts differ.

    Raises:
        UserError: nothing of the face would change.
    """
    wanted = layout if new_layout is None else new_layout
    changed = layout != wanted
    opened = np.zeros_like(changed)
    names = [name for name, v in zip(ATTRIBUTES, turned, strict=True) if v != UNSPECIFIED]
    for name in names:
        area = AREAS[name]
        there = pixels_of(layout, area.regions) | pixels_of(wanted, area.regions)
        over = pixels_of(layout, area.over) | pixels_of(wanted, area.over)
        there = there | grown(there, area.reach) & over
        changed = changed | there
        opened |= there if area.reach else False
    if region is not None:
        inside = pixels_of(layout, region) | pixels_of(wanted, region)
        if not inside.any():
            _nothing(layout, f"the face has no {' or '.join(region)}")
        # Within a region that is named an attribute may show anywhere.
        changed = inside if names else changed & inside
        opened = inside if opened.any() else opened
    if not changed.any():
        told = "the layouts are equal there" if not names else f"no place for {', '.join(names)}"
        _nothing(layout, told)
    # A layout that is wanted stays as painted; one that is not, gives way.
    drawn = np.where(opened & (layout == wanted), ANYTHING, wanted)
    drawn = np.where(changed, drawn, layout)
    return Plan(changed, drawn.astype(np.uint8))


def soft_weight(changed: np.ndarray, edge: float = EDGE) -> np.ndarray:
    """Share of the new face in each pixel, float32 [S, S]: 1 on `changed`, falling to 0 over a soft
    edge outside of it."""
    beyond = _distance(changed) / max(edge * len(changed), 1e-6)
    rest = np.clip(1 - beyond, 0, 1)
    return (rest * rest * (3 - 2 * rest)).astype(np.float32)


def cells_of(weight: np.ndarray, side: int) -> np.ndarray:
    """Cells of the latent grid that hold a pixel of weight above 0, bool [side, side]."""
    size = len(weight)
    bounds = [(i * size // side, -(-(i + 1) * size // side)) for i in range(side)]
    touched = weight > 0
    return np.array([[touched[a:b, c:d].any() for c, d in bounds] for a, b in bounds])


def _distance(pixels: np.ndarray) -> np.ndarray:
    """Distance of each pixel to the nearest one that is set, float32 [S, S]."""
    if not pixels.any():
        return np.full(pixels.shape, np.inf, np.float32)
    return cv2.distanceTransform((~pixels).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def _nothing(layout: np.ndarray, what: str) -> None:
    there = [name for i, name in enumerate(MASK_CLASSES) if (layout == i).any()]
    fix = f"In its layout are: {', '.join(there) or 'open pixels alone'}; name one with --region."
    raise UserError(what, "region", fix)
