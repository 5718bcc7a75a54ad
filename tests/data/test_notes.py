from __future__ import annotations

from pathlib import Path

import numpy as np

from facecond.data.notes import lacking, preparation_notes
from facecond.data.prepared import PreparedFolder, PreparedWriter
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
