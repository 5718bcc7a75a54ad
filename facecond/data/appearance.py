"""Which attributes are appearance in a data set: one answer for pairs, training and evaluation."""

from __future__ import annotations

from facecond.data.prepared import PreparedFolder
from facecond.data.rendered import APPEARANCE_ATTRIBUTES
from facecond.labels import APPEARANCE, ATTRIBUTES


def appearance_attributes(folder: PreparedFolder) -> tuple[str, ...]:
    """Names of the attributes that can change while the mask stays, in CelebA's order.

    Of rendered faces those that never move the mask, by how they are drawn; of others
    `labels.APPEARANCE`. All others are geometry.
    """
    names = APPEARANCE_ATTRIBUTES if folder.source == "rendered" else APPEARANCE
    return tuple(name for name in ATTRIBUTES if name in names)
