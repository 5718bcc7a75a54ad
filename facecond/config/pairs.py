"""The section of reference and target pairs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass
class PairsConfig:
    """What makes two faces a pair of reference and target; see `facecond data pairs`."""

    classes: Literal["merged", "all"] = "merged"
    """`merged` compares masks with left and right, mouth and lips, jewellery and its wearer as one
    class each; `all` compares the 19 classes as they are."""
    max_appearance_distance: int = 1
    """An appearance pair: at most so many of the compared attributes differ ..."""
    max_mask_miou: float = 0.6
    """... and the mean IoU of the masks, over the classes of either, is below this."""
    min_mask_miou: float = 0.6
    """A geometry pair: the mean IoU of the masks is at least this ..."""
    min_flips: int = 4
    """... and at least so many of the compared attributes differ."""
    attributes: list[str] = field(default_factory=list)
    """Attributes to compare; empty = those that a mask leaves open (`labels.APPEARANCE`, and what
    does not move the mask of rendered faces)."""
    unreliable: list[str] = field(
        default_factory=lambda: ["Attractive", "High_Cheekbones", "Oval_Face", "Pointy_Nose"]
    )
    """Attributes that are never compared: labelled almost at random."""
    min_stated: float = 0.75
    """Share of the compared attributes that both faces of an appearance pair must state."""
    same_person: float = 0.3
    """Without identities: cosine of the face embedding above which two faces are one person. With
    MobileFaceNet 0.3 finds 88 % of the pairs of one person on CelebA, and takes 0.5 % of the
    others for one."""
    one_person: float = 0.6
    """Without identities: cosine above which two faces are surely one person: a pair of
    `identity`, or somebody whom the test split shows too. With MobileFaceNet on 3,500 faces of
    CelebA 95 % of the pairs above 0.6 are of one person (47 % of all that are), above 0.3 2 %:
    nearly all pairs are of two persons."""
    max_pairs: int = 200_000
    """Rows to keep per task, drawn by seed and spread over the targets; 10,000,000 at most."""
    min_pairs: int = 100
    """Fewer pairs than this are an error."""
    seed: int = 0
