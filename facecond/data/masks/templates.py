"""Masks for people who own none: named templates and random ones, from rendered faces."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from facecond.data.pictures import resize_mask
from facecond.data.rendered import render
from facecond.data.rendered.scene import LARGEST, SMALLEST
from facecond.errors import UserError, nearest

_ALL_OFF = (
    "Eyeglasses", "Wearing_Hat", "Wearing_Earrings", "Wearing_Necklace", "Bald", "Bangs", "Smiling",
    "Mouth_Slightly_Open", "Narrow_Eyes", "Chubby", "Double_Chin", "Big_Lips", "Receding_Hairline",
    "Sideburns",
)  # fmt: skip
_PLAIN = dict.fromkeys(_ALL_OFF, False)


@dataclass(frozen=True)
class Template:
    """A rendered face chosen for its layout: upright, frontal, with what its name says.

    Attributes:
        seed: of the rendered face; its tilt and the length of the hair depend on it.
        words: what it shows, for people.
        overrides: attributes that shape it.
    """

    seed: int
    words: str
    overrides: dict[str, bool] = field(default_factory=dict)


TEMPLATES: dict[str, Template] = {
    "frontal": Template(1747, "short hair, mouth closed", {**_PLAIN, "Straight_Hair": True}),
    "long-hair": Template(1950, "long straight hair", _PLAIN),
    "wavy-hair": Template(2321, "long wavy hair", {**_PLAIN, "Wavy_Hair": True}),
    "bob": Template(2514, "hair to the chin", {**_PLAIN, "Straight_Hair": True}),
    "fringe": Template(295, "long hair with bangs", {**_PLAIN, "Bangs": True}),
    "smile": Template(1929, "a smile that shows teeth",
                      {**_PLAIN, "Smiling": True, "Mouth_Slightly_Open": True}),
    "glasses": Template(340, "glasses", {**_PLAIN, "Eyeglasses": True}),
    "hat": Template(2308, "a hat", {**_PLAIN, "Wearing_Hat": True}),
    "bald": Template(1233, "no hair", {**_PLAIN, "Bald": True}),
    "round-face": Template(2252, "a round face", {**_PLAIN, "Chubby": True, "Double_Chin": True}),
    "jewellery": Template(3858, "earrings and a necklace",
                          {**_PLAIN, "Wearing_Earrings": True, "Wearing_Necklace": True}),
}  # fmt: skip
"""Name -> template, in the order in which they are offered."""


def template_mask(name: str, size: int) -> np.ndarray:
    """A template by name, uint8 [size, size]; raises `UserError` with the nearest name."""
    if name not in TEMPLATES:
        raise UserError(f"unknown template '{name}'", "template", nearest(name, TEMPLATES))
    chosen = TEMPLATES[name]
    return _rendered(chosen.seed, size, chosen.overrides)[0]


def random_mask(seed: int, size: int) -> np.ndarray:
    """The mask of a random face, uint8 [size, size]; equal seeds give equal layouts."""
    return random_face(seed, size)[0]


def random_face(seed: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The mask of a random face, uint8 [size, size], and its attributes, int8 [40]."""
    return _rendered(seed, size, {})


def _rendered(seed: int, size: int, overrides: dict[str, bool]) -> tuple[np.ndarray, np.ndarray]:
    drawn = min(max(size, SMALLEST), LARGEST)
    face = render(seed, 0, drawn, overrides=overrides)
    return resize_mask(face.mask, size), face.attributes
