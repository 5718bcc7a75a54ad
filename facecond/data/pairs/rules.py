"""What makes two faces a pair: thresholds, attributes, limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from facecond.data.appearance import appearance_attributes
from facecond.data.prepared import PreparedFolder
from facecond.errors import UserError, nearest
from facecond.labels import ATTRIBUTES, attribute_index

TASKS: tuple[str, ...] = ("appearance", "geometry", "identity", "reconstruction")
"""Same appearance, another shape; same shape, another appearance; another picture of the same
person; the same picture."""

USUAL: tuple[str, ...] = tuple(task for task in TASKS if task != "identity")
"""Those that any data may have pairs for: `identity` asks for persons who are shown twice."""

MOST_PAIRS = 10_000_000
"""Rows of a task: what is kept while they are searched for grows with them, to about 1 GB."""

CLASSES = ("merged", "all")

UNRELIABLE: tuple[str, ...] = ("Attractive", "High_Cheekbones", "Oval_Face", "Pointy_Nose")
"""Attributes that CelebA labels almost at random (Wu et al. 2022, arXiv 2210.07356), and the one
that lies in the eye of the beholder."""


@dataclass(frozen=True)
class PairRules:
    """The fields of `config.PairsConfig`, which says what each means.

    Raises:
        UserError: an unknown attribute or word, or a number out of range.
    """

    classes: str = "merged"
    max_appearance_distance: int = 1
    max_mask_miou: float = 0.6
    min_mask_miou: float = 0.6
    min_flips: int = 4
    attributes: Sequence[str] = ()
    unreliable: Sequence[str] = UNRELIABLE
    min_stated: float = 0.75
    same_person: float = 0.3
    one_person: float = 0.6
    max_pairs: int = 200_000
    min_pairs: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        if self.classes not in CLASSES:
            what = f"unknown classes '{self.classes}'"
            raise UserError(what, "pairs.classes", nearest(self.classes, CLASSES))
        for name in (*self.attributes, *self.unreliable):
            attribute_index(name)
        for field in ("max_mask_miou", "min_mask_miou", "min_stated"):
            if not 0 <= getattr(self, field) <= 1:
                what = f"{getattr(self, field)} is out of range"
                raise UserError(what, f"pairs.{field}", "Give a number from 0 to 1.")
        for field in ("same_person", "one_person"):
            if not -1 <= getattr(self, field) <= 1:
                what = f"{getattr(self, field)} is out of range"
                raise UserError(what, f"pairs.{field}", "Give a cosine, from -1 to 1.")
        least = {"max_appearance_distance": 0, "min_flips": 0, "min_pairs": 0, "max_pairs": 1}
        for field, low in least.items():
            if getattr(self, field) < low:
                what = f"{getattr(self, field)} is out of range"
                raise UserError(what, f"pairs.{field}", f"Give {low} or more.")
        if self.max_pairs > MOST_PAIRS:
            what = f"{self.max_pairs:,} is out of range"
            raise UserError(what, "pairs.max_pairs", f"Give {MOST_PAIRS:,} or less.")

    def compared(self, folder: PreparedFolder) -> tuple[str, ...]:
        """Names of the attributes that tell one appearance from another, in CelebA's order.

        Those named in `attributes`, else `appearance_attributes`; without the unreliable ones.

        Raises:
            UserError: none is left.
        """
        given = self.attributes or appearance_attributes(folder)
        left = tuple(n for n in ATTRIBUTES if n in given and n not in self.unreliable)
        if not left:
            fix = "Name some that are not in pairs.unreliable."
            raise UserError("no attribute is left to compare", "pairs.attributes", fix)
        return left
