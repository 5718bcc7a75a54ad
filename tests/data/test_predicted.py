"""Judges' labels beside the truth: merged on request, never in its place."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facecond.data.dataset import FaceDataset
from facecond.data.predicted import read_predicted, write_predicted
from facecond.data.prepared import PreparedFolder
from facecond.data.writing import PreparedWriter
from facecond.errors import UserError
from facecond.labels import ANYTHING, ATTRIBUTES, UNSPECIFIED

SIZE = 16
MASK = np.full((SIZE, SIZE), 13, np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> PreparedFolder:
    """Four faces: the first two have masks, the first and third have attributes."""
    random = np.random.default_rng(0)
    with PreparedWriter(tmp_path / "data", SIZE, "folder") as writer:
        for index in range(4):
            image = random.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
            values = np.full(40, index % 2 - 1 if index % 2 else 1, np.int8)
            values[index % 2 == 0] = 0
            known = values if index in (0, 2) else np.full(40, UNSPECIFIED, np.int8)
            mask = np.full((SIZE, SIZE), index, np.uint8) if index < 2 else None
            writer.add(f"n{index}", image, mask, known, "generator")
    return PreparedFolder.open(tmp_path / "data")


def label(folder: PreparedFolder, confidence: float = 0.9, mask: np.ndarray = MASK) -> None:
    """Say something about every face, also where the truth is known."""
    values = np.tile(np.arange(40) % 2, (4, 1)).astype(np.int8)
    values[:, 7] = UNSPECIFIED
    with write_predicted(folder) as writer:
        writer.details["judge"] = "planted"
        writer.set_attributes(values, np.where(values >= 0, confidence, 0).astype(np.float32))
        for name in folder.names[1:]:
            writer.add_mask(name, mask, 0.75)


def test_all_labels_fill_what_is_missing_and_leave_the_truth(folder: PreparedFolder) -> None:
    label(folder)
    full = PreparedFolder.open(folder.root, labels="all")
    truth = folder.attributes
    assert (full.attributes[[0, 2]] == truth[[0, 2]]).all()
    assert not full.attribute_predicted[[0, 2]].any()
    for row in (1, 3):
        assert full.attributes[row, 7] == UNSPECIFIED and not full.attribute_predicted[row, 7]
        others = np.arange(40) != 7
        assert (full.attributes[row, others] == (np.arange(40) % 2)[others]).all()
        assert full.attribute_predicted[row, others].all()
    assert full.has_mask.all()
    assert full.mask_predicted.tolist() == [False, False, True, True]
    assert (full.mask(1) == 1).all() and (full.mask(2) == 13).all()
    assert full.attributes.dtype == np.int8
    seen = FaceDataset(full, "generator")[3]
    assert (seen.mask == 13).all() and (seen.attributes[0].numpy() == full.attributes[3]).all()


def test_true_labels_never_show_a_prediction(folder: PreparedFolder) -> None:
    label(folder)
    for opened in (PreparedFolder.open(folder.root), PreparedFolder.open(folder.root, "true")):
        assert (opened.attributes == folder.attributes).all()
        assert opened.has_mask.tolist() == [True, True, False, False]
        assert (opened.mask(2) == ANYTHING).all()
        assert opened.data_hash == folder.data_hash
        assert not opened.attribute_predicted.any() and not opened.mask_predicted.any()


def test_the_hash_names_truth_and_labels_together(folder: PreparedFolder) -> None:
    assert PreparedFolder.open(folder.root, labels="all").data_hash == folder.data_hash
    hashes = {folder.data_hash}
    for confidence, mask in ((0.9, MASK), (0.8, MASK), (0.9, MASK + 1)):
        label(folder, confidence, mask)
        hashes.add(PreparedFolder.open(folder.root, labels="all").data_hash)
    assert len(hashes) == 4
    label(folder)
    assert PreparedFolder.open(folder.root, labels="all").data_hash in hashes


def test_confidence_and_files_are_kept(folder: PreparedFolder) -> None:
    label(folder, confidence=0.8125)
    given = read_predicted(folder)
    assert given is not None
    assert given.manifest["judge"] == "planted"
    assert given.manifest["schema"] == "facecond.predicted/1"
    assert given.manifest["data_hash"] == folder.data_hash
    assert given.manifest["counts"] == {
        "attribute_values": 4 * 39,
        "faces_with_attributes": 4,
        "masks": 3,
    }
    assert (given.confidence == np.where(given.attributes >= 0, np.float32(0.8125), 0)).all()
    assert given.mask_confidence.tolist() == [0, 0.75, 0.75, 0.75]
    with open(folder.root / "predicted" / "confidence.csv", newline="") as file:
        header, *rows = list(csv.reader(file))
    assert header == ["name", *ATTRIBUTES] and len(rows) == 4
    assert rows[0][1 + 7] == "" and set(rows[0][1:]) == {"", "0.8125"}


def test_masks_of_an_earlier_run_can_be_kept(folder: PreparedFolder) -> None:
    label(folder)
    earlier = read_predicted(folder)
    assert earlier is not None
    with write_predicted(folder) as writer:
        writer.keep_masks(earlier)
    full = PreparedFolder.open(folder.root, labels="all")
    assert full.mask_predicted.tolist() == [False, False, True, True]
    assert (full.mask(3) == 13).all() and not full.attribute_predicted.any()


def test_an_interrupted_run_leaves_the_earlier_labels(folder: PreparedFolder) -> None:
    label(folder)
    before = PreparedFolder.open(folder.root, labels="all").data_hash
    with pytest.raises(KeyboardInterrupt), write_predicted(folder) as writer:
        writer.add_mask("n3", MASK + 1, 0.5)
        raise KeyboardInterrupt
    assert PreparedFolder.open(folder.root, labels="all").data_hash == before
    assert not [path for path in folder.root.iterdir() if path.name.startswith(".")]


def test_labels_of_other_data_are_refused(folder: PreparedFolder, tmp_path: Path) -> None:
    label(folder)
    with PreparedWriter(tmp_path / "other", SIZE, "folder") as writer:
        for name in folder.names:
            writer.add(
                name, np.zeros((SIZE, SIZE, 3), np.uint8), None, folder.attributes[0], "test"
            )
    shutil.copytree(folder.root / "predicted", tmp_path / "other" / "predicted")
    with pytest.raises(UserError, match=r"made for other data.*data label"):
        PreparedFolder.open(tmp_path / "other", labels="all")
    assert len(PreparedFolder.open(tmp_path / "other")) == 4


def _edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda x: (x / "manifest.json").unlink(), "the file is missing"),
        (lambda x: _edit(x / "manifest.json", schema="facecond.predicted/9"), "predicted/9"),
        (lambda x: _edit(x / "manifest.json", labels_hash="0"), "disagree"),
        (lambda x: (x / "masks" / "n2.png").unlink(), "n2.png: is missing"),
        (lambda x: (x / "masks.csv").unlink(), "masks.csv: is missing"),
        (lambda x: (x / "attributes.csv").write_text("name\n"), "attributes.csv: was changed"),
    ],
)
def test_damage_is_named(folder: PreparedFolder, damage, message: str) -> None:
    label(folder)
    damage(folder.root / "predicted")
    with pytest.raises(UserError, match=message):
        PreparedFolder.open(folder.root, labels="all")


def test_a_mask_that_was_changed_is_named_when_it_is_read(folder: PreparedFolder) -> None:
    label(folder)
    file = folder.root / "predicted" / "masks" / "n2.png"
    Image.fromarray(MASK + 1).save(file)
    full = PreparedFolder.open(folder.root, labels="all")
    assert (full.mask(3) == MASK).all()
    with pytest.raises(UserError, match=r"n2\.png: was changed after it was written"):
        full.mask(2)
    earlier = read_predicted(folder)
    assert earlier is not None
    with pytest.raises(UserError, match=r"n2\.png: was changed"), write_predicted(folder) as writer:
        writer.keep_masks(earlier)
    file.unlink()
    with pytest.raises(UserError, match=r"n2\.png: cannot be read \(No such file"):
        full.mask(2)


def test_only_two_kinds_of_labels_are_known(folder: PreparedFolder) -> None:
    with pytest.raises(ValueError, match="'true' or 'all', not 'predicted'"):
        PreparedFolder.open(folder.root, labels="predicted")


def test_shapes_must_fit(folder: PreparedFolder) -> None:
    with pytest.raises(ValueError, match="for 4 faces"), write_predicted(folder) as writer:
        writer.set_attributes(np.zeros((3, 40), np.int8), np.zeros((3, 40), np.float32))
    assert not (folder.root / "predicted").exists()
