from __future__ import annotations

from pathlib import Path

import numpy as np

from facecond.data.notes import lacking, preparation_notes
from facecond.data.prepared import PreparedFolder
from facecond.data.writing import PreparedWriter
from facecond.labels import UNSPECIFIED

IMAGE, MASK = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8)
KNOWN, UNKNOWN = np.zeros(40, np.int8), np.full(40, UNSPECIFIED, np.int8)


def _folder(out: Path, faces: list[tuple], details: dict | None = None) -> PreparedFolder:
    with PreparedWriter(out, 8, "folder", details) as writer:
        for index, (mask, attributes, split) in enumerate(faces):
            writer.add(f"n{index}", IMAGE, mask, attributes, split)
    return PreparedFolder.open(out)


def test_nothing_to_note(tmp_path: Path) -> None:
    faces = [(MASK, UNKNOWN, "generator"), (None, KNOWN, "judges"), (None, UNKNOWN, "test")]
    assert preparation_notes(_folder(tmp_path / "x", faces)) == []


def test_empty_splits_and_missing_truths(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "x", [(MASK, UNKNOWN, "generator"), (None, UNKNOWN, "judges")])
    notes = preparation_notes(folder)
    assert len(notes) == 2
    assert notes[0] == "the split 'test' is empty: models cannot be scored on it"
    assert notes[1].startswith("no face has attributes")
    assert [note.split(":")[0] for note in lacking(folder, np.array([1]), "nobody")] == [
        "nobody has a mask", "nobody has attributes",
    ]  # fmt: skip


def test_suspicious_masks_are_named(tmp_path: Path) -> None:
    faces = [(MASK, KNOWN, split) for split in ("generator", "judges", "test")]
    details = {"without_skin": ["n0"], "with_one_part": [f"n{i}" for i in range(9)]}
    notes = preparation_notes(_folder(tmp_path / "x", faces, details))
    assert notes == [
        "1 face has no skin part in the mask (n0): see 'without_skin' in manifest.json",
        "9 faces have a single part in the mask (n0, n1, n2, n3, n4, ...): see 'with_one_part' in "
        "manifest.json",
    ]


def test_masks_of_a_single_class_are_named_and_others_are_not(tmp_path: Path) -> None:
    skin, face = MASK.copy(), MASK.copy()
    skin[2:6], face[2:6] = 1, 2
    face[:2] = 13
    kinds = [skin, face, None, skin, MASK, np.full_like(MASK, 255)]
    splits = ("generator", "judges", "test") * 2
    folder = _folder(tmp_path / "x", [(m, KNOWN, s) for m, s in zip(kinds, splits, strict=True)])
    assert preparation_notes(folder) == [
        "2 of 5 masks looked at draw a single class (n0: skin, n3: skin): `facecond data doctor` "
        "names them all"
    ]


def test_a_test_split_that_takes_most_attributes_is_told(tmp_path: Path) -> None:
    told = [KNOWN, KNOWN, KNOWN, UNKNOWN, KNOWN, UNKNOWN]
    splits = ("test", "test", "generator", "generator", "test", "judges")
    faces = [(None, values, split) for values, split in zip(told, splits, strict=True)]
    asked = {"test_with_attributes": True}
    notes = preparation_notes(_folder(tmp_path / "x", faces, asked))
    assert notes[1].startswith("3 of the 4 faces with attributes are in the test split")
    assert len(notes) == 2 == len(preparation_notes(_folder(tmp_path / "y", faces))) + 1
