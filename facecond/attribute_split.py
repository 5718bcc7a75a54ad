"""Which attributes are geometry (a face's mask shows them) and which appearance."""

from __future__ import annotations

GEOMETRY = (
    "Arched_Eyebrows Bald Bangs Big_Lips Big_Nose Bushy_Eyebrows Chubby Double_Chin Eyeglasses "
    "High_Cheekbones Mouth_Slightly_Open Narrow_Eyes Oval_Face Pointy_Nose Receding_Hairline "
    "Smiling Wearing_Earrings Wearing_Hat Wearing_Necklace Wearing_Necktie"
)


def geometry() -> tuple[str, ...]:
    """Names of the attributes of `attributes:geometry`, in the vocabulary's order."""
    return tuple(GEOMETRY.split())
