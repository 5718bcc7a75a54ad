"""What a user should know about a prepared folder before training on it."""

from __future__ import annotations

import numpy as np

from facecond.data.doctor.classes import single_class
from facecond.data.prepared import PreparedFolder
from facecond.data.writing import SPLITS
from facecond.labels import MASK_CLASSES, UNSPECIFIED

_PURPOSE = {
    "generator": "nothing can be trained on it",
    "judges": "judges cannot be trained on it",
    "test": "models cannot be scored on it",
}
_SHOWN = 5
_SAMPLE = 64
"""Masks of a plain folder that are looked at."""


def preparation_notes(folder: PreparedFolder) -> list[str]:
    """Sentences on empty splits, on what no face has, and on masks that look incomplete."""
    notes = [
        f"the split '{split}' is empty: {_PURPOSE[split]}"
        for split in SPLITS
        if not (folder.splits == split).any()
    ]
    notes += lacking(folder, np.arange(len(folder)), "no face")
    for key, words in (("without_skin", "no skin part"), ("with_one_part", "a single part")):
        names = folder.manifest["details"].get(key, [])
        if names:
            listed = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
            count = f"{len(names)} face{'s have' if len(names) > 1 else ' has'}"
            notes.append(f"{count} {words} in the mask ({listed}): see '{key}' in manifest.json")
    if folder.source == "folder":
        notes += _single_classes(folder)
    if folder.manifest["details"].get("test_with_attributes"):
        known = (folder.attributes != UNSPECIFIED).any(1)
        tested = int((known & (folder.splits == "test")).sum())
        if 2 * tested > known.sum():
            notes.append(
                f"{tested} of the {int(known.sum())} faces with attributes are in the test split:"
                " few are left to learn from; lower --test-fraction"
            )
    return notes


def _single_classes(folder: PreparedFolder) -> list[str]:
    """A sentence on masks that draw one class, by a sample of them."""
    masked = np.flatnonzero(folder.has_mask)
    some = masked[np.unique(np.linspace(0, len(masked) - 1, min(len(masked), _SAMPLE)).astype(int))]
    names = []
    for row in some:
        if (value := single_class(folder.mask(int(row)))) is not None:
            names.append(f"{folder.names[row]}: {MASK_CLASSES[value]}")
    if not names:
        return []
    listed = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    return [
        f"{len(names)} of {len(some)} masks looked at draw a single class ({listed}):"
        " `facecond data doctor` names them all"
    ]


def lacking(folder: PreparedFolder, rows: np.ndarray, nobody: str) -> list[str]:
    """Sentences on the truths that none of the rows has.

    Args:
        rows: int64 [n] rows of the folder.
        nobody: how to call "none of them": `no face`.
    """
    lacks = []
    if not folder.has_mask[rows].any():
        lacks.append(f"{nobody} has a mask: masks cannot be learnt or scored on it")
    if (folder.attributes[rows] == UNSPECIFIED).all():
        lacks.append(f"{nobody} has attributes: attributes cannot be learnt or scored on it")
    return lacks
