"""One attribute on and off at the same seed: what changes in picture and mask, and what may not."""

from collections.abc import Set as AbstractSet
from functools import cache

import numpy as np
import pytest

from facecond.data.rendered import CLAIMED, RenderedFace, render
from facecond.labels import MASK_CLASSES, UNSPECIFIED, attribute_index

INDICES = range(6)

BROWS = {"l_brow", "r_brow"}
EYES = {"l_eye", "r_eye"}
EARS = {"l_ear", "r_ear"}
LIPS = {"u_lip", "l_lip", "mouth"}
BODY = {"neck", "cloth", "neck_l"}
NOTHING: frozenset[str] = frozenset()
AROUND = {"background", "hair", "skin", "ear_r", *EARS, *BODY}
"""Everything but the features of the face and hats."""

MAY_CHANGE: dict[str, AbstractSet[str]] = {
    **dict.fromkeys(
        [
            "5_o_Clock_Shadow", "Bags_Under_Eyes", "Black_Hair", "Blond_Hair", "Blurry",
            "Brown_Hair", "Goatee", "Gray_Hair", "Heavy_Makeup", "High_Cheekbones", "Mustache",
            "No_Beard", "Pale_Skin", "Rosy_Cheeks", "Wearing_Lipstick", "Young",
        ],
        NOTHING,
    ),
    "Arched_Eyebrows": {"skin", *BROWS},
    "Bald": {*AROUND, *BROWS},
    "Bangs": {"hair", "skin", *BROWS, *EARS},
    "Big_Lips": {"skin", "nose", *LIPS},
    "Big_Nose": {"skin", "nose"},
    "Bushy_Eyebrows": {"skin", *BROWS, *EYES},
    "Chubby": AROUND,
    "Double_Chin": {"skin", "hair", "background", *BODY},
    "Eyeglasses": {"eye_g", "skin", "nose", "hair", "background", *BROWS, *EYES, *EARS},
    "Male": AROUND,
    "Mouth_Slightly_Open": {"skin", "nose", *LIPS},
    "Narrow_Eyes": {"skin", "nose", *EYES},
    "Oval_Face": {*AROUND, *BROWS, *EYES, "hat"},
    "Pointy_Nose": {"skin", "nose"},
    "Receding_Hairline": {"hair", "skin", "background", *EARS},
    "Sideburns": {"hair", "skin", "background", *EARS, *EYES, *BROWS},
    "Smiling": {"skin", "nose", *LIPS},
    "Straight_Hair": {*AROUND, *BROWS},
    "Wavy_Hair": {*AROUND, *BROWS},
    "Wearing_Earrings": {*AROUND},
    "Wearing_Hat": {"hat", "hair", "skin", "background", *BROWS, *EARS},
    "Wearing_Necklace": {"neck_l", "neck", "cloth", "hair", "background"},
    "Wearing_Necktie": {"cloth", "neck", "hair", "background"},
}  # fmt: skip
"""Attribute -> the classes that may appear or disappear; the mask elsewhere stays."""

FACE = {"skin", "nose", *BROWS, *EYES, *LIPS}
BEHIND = {"hat", "cloth", "background"}
UNTOUCHED: tuple[tuple[tuple[str, ...], AbstractSet[str]], ...] = (
    (("Big_Lips", "Mouth_Slightly_Open", "Smiling"), {"hair", *BEHIND, *EYES, *BROWS, *EARS}),
    (("Wearing_Lipstick", "Mustache"), {"hair", *BEHIND, *EYES, *BROWS, *EARS}),
    (("Arched_Eyebrows", "Bushy_Eyebrows", "Narrow_Eyes"), {"neck", *BEHIND, *LIPS, *EARS}),
    (("Bags_Under_Eyes", "Heavy_Makeup"), {"neck", *BEHIND, *LIPS, *EARS}),
    (("Big_Nose", "Pointy_Nose"), {"hair", *BEHIND, *EARS}),
    (("5_o_Clock_Shadow", "Goatee", "No_Beard"), {"hair", "neck", *BEHIND, *EYES, *BROWS, *EARS}),
    (("High_Cheekbones", "Rosy_Cheeks"), {"hair", "neck", *BEHIND, *EYES, *BROWS, *EARS}),
    (("Wearing_Necklace", "Wearing_Necktie"), {*FACE, "hat", "background"}),
    (("Bangs", "Receding_Hairline"), {*LIPS, *BODY}),
    (("Black_Hair", "Gray_Hair"), {*LIPS, *EYES, *BEHIND, *BODY}),
    (("Pale_Skin",), {"hair", *BEHIND, *EYES}),
    (("Young",), {"hair", "neck", *BEHIND}),
    (("Wearing_Earrings",), {"nose", "hat", *LIPS, *EYES, *BROWS}),
    (("Eyeglasses",), {"neck", *BEHIND, *LIPS}),
    (("Double_Chin",), {"nose", "hat", *LIPS, *EYES, *BROWS}),
    (("Wearing_Hat",), {"nose", "cloth", "neck", *LIPS}),
)
"""Attributes, and classes whose pixels stay as they are, but for blended borders."""


@cache
def toggled(name: str, index: int) -> tuple[RenderedFace, RenderedFace]:
    sharp = {} if name == "Blurry" else {"Blurry": False}
    off, on = (render(21, index, 64, overrides={**sharp, name: v}) for v in (False, True))
    return off, on


def difference(off: RenderedFace, on: RenderedFace) -> np.ndarray:
    return np.abs(off.image.astype(int) - on.image).max(-1)


def test_the_table_covers_every_claimed_attribute():
    assert set(MAY_CHANGE) == set(CLAIMED)


@pytest.mark.parametrize("name", CLAIMED)
def test_an_override_is_stated_and_seen(name):
    changed = []
    for index in INDICES:
        off, on = toggled(name, index)
        column = attribute_index(name)
        assert off.attributes[column] == 0 and on.attributes[column] == 1
        changed.append(int((difference(off, on) > 12).sum()))
    assert min(changed) >= 10, changed
    assert np.median(changed) >= 20, changed


@pytest.mark.parametrize("name", CLAIMED)
def test_the_mask_changes_only_where_it_should(name):
    moved = 0
    allowed = {MASK_CLASSES.index(label) for label in MAY_CHANGE[name]}
    for index in INDICES:
        off, on = toggled(name, index)
        different = off.mask != on.mask
        moved += int(different.sum())
        labels = set(off.mask[different].tolist()) | set(on.mask[different].tolist())
        assert labels <= allowed, {MASK_CLASSES[c] for c in labels - allowed}
    assert (moved > 0) == bool(allowed)


@pytest.mark.parametrize(
    "name, labels", [(name, labels) for names, labels in UNTOUCHED for name in names]
)
def test_pixels_elsewhere_stay_as_they_are(name, labels):
    checked = 0
    for index in INDICES:
        off, on = toggled(name, index)
        for label in sorted(labels):
            inside = _inner((off.mask == on.mask) & (on.mask == MASK_CLASSES.index(label)))
            checked += int(inside.sum())
            assert int(difference(off, on)[inside].max(initial=0)) <= 12, (index, label)
    assert checked > 50


def _inner(region: np.ndarray) -> np.ndarray:
    """The region without pixels that touch another class."""
    padded = np.pad(region, 1, mode="edge")
    parts = [padded[dy : dy + 64, dx : dx + 64] for dy in range(3) for dx in range(3)]
    return np.logical_and.reduce(parts)


@pytest.mark.parametrize("name", CLAIMED)
def test_toggling_moves_no_unrelated_attribute(name):
    related = {
        "Goatee": {"No_Beard"},
        "No_Beard": {"Goatee", "5_o_Clock_Shadow"},
        "Black_Hair": {"Brown_Hair", "Blond_Hair", "Gray_Hair"},
        "Brown_Hair": {"Black_Hair", "Blond_Hair", "Gray_Hair"},
        "Blond_Hair": {"Black_Hair", "Brown_Hair", "Gray_Hair"},
        "Gray_Hair": {"Black_Hair", "Brown_Hair", "Blond_Hair"},
        "Straight_Hair": {"Wavy_Hair"},
        "Wavy_Hair": {"Straight_Hair"},
    }.get(name, set())
    for index in INDICES:
        off, on = toggled(name, index)
        known = (off.attributes != UNSPECIFIED) & (on.attributes != UNSPECIFIED)
        if name == "Bald":
            continue  # takes the hair and all that is said of it
        moved = {
            CLAIMED_BY_COLUMN[c] for c in np.flatnonzero(known & (off.attributes != on.attributes))
        }
        assert moved <= {name, *related}


CLAIMED_BY_COLUMN = {attribute_index(name): name for name in CLAIMED}


def test_a_named_attribute_wins_over_a_drawn_rival():
    for index in range(40):
        face = render(8, index, 64)
        hat = face.attributes[attribute_index("Wearing_Hat")] == 1
        bald = face.attributes[attribute_index("Bald")] == 1
        if hat:
            over = render(8, index, 64, overrides={"Bangs": True})
            assert over.attributes[attribute_index("Wearing_Hat")] == 0
            assert over.attributes[attribute_index("Bangs")] == 1
        if bald:
            over = render(8, index, 64, overrides={"Blond_Hair": True})
            assert over.attributes[attribute_index("Bald")] == 0
            assert over.attributes[attribute_index("Blond_Hair")] == 1
            assert (over.mask == MASK_CLASSES.index("hair")).sum() > 50
