"""The split of the attributes: a planted one is found, and nothing that was not planted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from facecond.analysis.attribute_split import (
    SIDE,
    Figure,
    cross_fit,
    dealt_out,
    figures_of,
    hits,
    mask_shares,
    measure,
    split_record,
)
from facecond.analysis.attribute_split_table import markdown
from facecond.data.predicted import write_predicted
from facecond.data.prepared import PreparedFolder
from facecond.data.writing import PreparedWriter
from facecond.errors import UserError
from facecond.labels import ANYTHING, ATTRIBUTES, MASK_CLASSES, mirror_mask
from facecond.metrics import attribute_accuracy
from facecond.training.judge_faces import Faces, read_rows
from facecond.training.judge_fit import Recipe

COUNT, PLAIN = 130, 120
HAT, HAIR, SKIN, LEFT_EYE = (MASK_CLASSES.index(n) for n in ("hat", "hair", "skin", "l_eye"))
QUICK = Recipe(steps=50, batch_size=16, width=8)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> PreparedFolder:
    """Masks that tell attribute 0 (a hat) and 1 (the chin), not 2 (at random) or 3 (the colour of
    the picture); 4 has one kind only, 5 three faces of one; the others are unknown. The last 10
    faces have no attributes."""
    root = tmp_path_factory.mktemp("planted") / "faces"
    generator = np.random.default_rng(0)
    with PreparedWriter(root, 32, "rendered") as writer:
        for i in range(COUNT):
            attributes = np.full(40, -1, np.int8)
            attributes[:5] = [*generator.integers(0, 2, 4), 1]
            attributes[5] = i < 3
            mask = np.full((32, 32), 0, np.uint8)
            mask[8 : 20 + 6 * attributes[1], 8:24] = SKIN
            mask[4:8, 8:24] = HAT if attributes[0] else HAIR
            mask[generator.integers(0, 32, 20), generator.integers(0, 32, 20)] = LEFT_EYE
            image = np.full((32, 32, 3), 200 * int(attributes[3]), np.uint8)
            told = attributes if i < PLAIN else np.full(40, -1, np.int8)
            writer.add(f"{i:03d}", image, mask, told, ("generator", "judges", "test")[i % 3])
    return PreparedFolder.open(root)


@pytest.fixture(scope="module")
def measured(planted: PreparedFolder) -> tuple[dict, list[Figure]]:
    return measure(planted, "planted", QUICK, count=3, progress=False)


def test_what_the_masks_tell_is_geometry(measured: tuple[dict, list[Figure]]) -> None:
    figures = measured[1]
    for told in figures[:2]:
        assert told.score is not None and told.low is not None
        assert told.score > 0.95 and told.low > 0.85 and told.is_geometry and not told.is_uncertain
    for untold in figures[2:4]:
        assert untold.score is not None and untold.low is not None and untold.high is not None
        assert 0.3 < untold.score < 0.7 and untold.low < 0.5 + 0.1 and not untold.is_geometry
        assert untold.low < untold.score < untold.high
    assert figures[0].present + figures[0].absent == PLAIN


def test_labels_of_other_faces_give_one_half(measured: tuple[dict, list[Figure]]) -> None:
    controls = [figure.control for figure in measured[1][:4]]
    assert all(control is not None and 0.3 < control < 0.7 for control in controls)
    assert abs(np.mean(controls) - 0.5) < 0.1


def test_too_few_of_a_kind_are_uncertain(measured: tuple[dict, list[Figure]]) -> None:
    figures = measured[1]
    assert (figures[4].score, figures[4].present, figures[4].absent) == (None, PLAIN, 0)
    assert (figures[5].score, figures[5].present) == (None, 3)
    assert all(figure.is_uncertain for figure in figures[4:])
    assert not figures[4].is_geometry and not figures[39].is_geometry
    assert Figure(0.8, 0.74, 0.86, 0.5, None, 50, 50).is_uncertain
    assert not Figure(0.8, 0.76, 0.86, 0.5, None, 50, 50).is_uncertain
    assert Figure(0.8, 0.76, 0.86, 0.5, None, 29, 50).is_uncertain


def test_the_record_names_its_evidence(
    measured: tuple[dict, list[Figure]], planted: PreparedFolder
) -> None:
    record = split_record([measured, measured], "COMMAND")
    assert list(record["attributes"]) == list(ATTRIBUTES) and record["command"] == "COMMAND"
    kinds = [told["kind"] for told in record["attributes"].values()]
    assert kinds == ["geometry"] * 2 + ["appearance"] * 38
    data = record["data"][0]
    assert data["data_hash"] == planted.data_hash and data["with_true_attributes"] == PLAIN
    assert data["with_predicted_attributes_only"] == 0 and not data["by_person"]
    lines = markdown(record).splitlines()
    assert lines[0].startswith(f"1. planted: {PLAIN} faces scored") and len(lines) == 2 + 3 + 40
    assert lines[5].split("|")[1].strip() in ATTRIBUTES[:2]  # the best told first
    assert "appearance (uncertain)" in lines[-1]


def test_a_face_is_never_scored_by_a_network_that_saw_it(planted: PreparedFolder) -> None:
    """Masks of noise can only be learned by heart: whoever saw a face would know it."""
    generator = np.random.default_rng(1)
    rows = np.arange(60)
    faces = read_rows(planted, rows, "parser", False)
    truth = np.full((60, 40), -1, np.int8)
    truth[:, :10] = generator.integers(0, 2, (60, 10))
    own = faces.relabelled(truth)
    images, masks = own._kept or (None, None)
    assert masks is not None and images is not None
    noise = torch.from_numpy(generator.integers(0, 19, masks.shape).astype(np.uint8))
    own._kept = (images, noise)
    logits = cross_fit(own, rows % 3, QUICK, False)
    scores = attribute_accuracy(hits(truth, logits, rows % 3).sum(0))[:10]
    assert abs(scores.mean() - 0.5) < 0.12


def test_predicted_labels_are_learned_and_never_scored(
    planted: PreparedFolder, tmp_path: Path
) -> None:
    with PreparedWriter(tmp_path / "few", 32, "folder") as writer:
        for row in range(40):
            told = planted.attributes[row] if row < 12 else np.full(40, -1, np.int8)
            writer.add(planted.names[row], planted.image(row), planted.mask(row), told, "judges")
    folder = PreparedFolder.open(tmp_path / "few")
    values = np.full((40, 40), -1, np.int8)
    values[12:, :2] = planted.attributes[12:40, :2]
    with write_predicted(folder) as predicted:
        predicted.set_attributes(values, np.where(values >= 0, 0.9, 0).astype(np.float32))
    record, figures = measure(PreparedFolder.open(folder.root, "all"), "few", QUICK, 3, False)
    assert record["with_predicted_attributes_only"] == 28
    assert figures[0].present + figures[0].absent == record["with_true_attributes"] == 12
    assert figures[0].score is not None and figures[0].score > 0.9


def test_the_classifier_sees_shares_of_classes_and_nothing_else() -> None:
    masks = torch.zeros(1, 2 * SIDE, 2 * SIDE, dtype=torch.uint8)
    masks[0, :2, :2] = torch.tensor([[1, 1], [2, ANYTHING]])
    shares = mask_shares(Faces(torch.zeros(1, 3, 1, 1), masks, torch.zeros(1, 40)))
    assert shares.shape == (1, len(MASK_CLASSES), SIDE, SIDE)
    assert shares[0, :4, 0, 0].tolist() == [0.0, 0.5, 0.25, 0.0]
    assert shares[0, 0, 1:].min() == 1 and shares.sum() == SIDE**2 - 0.25
    left = torch.from_numpy(mirror_mask(masks.numpy()).copy())
    mirrored = mask_shares(Faces(torch.zeros(1, 3, 1, 1), left, torch.zeros(1, 40)))
    assert torch.equal(mirrored.flip(3), shares)  # no class of this mask has a side


def test_what_shows_only_through_the_sex_is_told_apart() -> None:
    """Attribute 0 follows the sex, but for noise; attribute 1 is its own, attribute 2 too rare."""
    generator = np.random.default_rng(2)
    count, male = 600, ATTRIBUTES.index("Male")
    truth = np.full((count, 40), -1, np.int8)
    truth[:, [male, 1]] = generator.integers(0, 2, (count, 2))
    truth[:, 0] = np.where(generator.random(count) < 0.15, 1 - truth[:, male], truth[:, male])
    truth[:, 2] = np.arange(count) < 20
    logits = generator.normal(size=(count, 40)).astype(np.float32)
    logits[:, 0] += 6 * truth[:, male]
    logits[:, [1, male]] += 6 * truth[:, [1, male]]
    noise = generator.normal(size=(count, 40)).astype(np.float32)
    figures = figures_of(truth, logits, truth, noise, np.arange(count) % 5)
    by_sex, own = figures[0], figures[1]
    assert by_sex.score is not None and by_sex.same_sex is not None
    assert abs(by_sex.score - 0.85) < 0.04 and abs(by_sex.same_sex - 0.5) < 0.1
    assert own.score is not None and own.same_sex is not None
    assert own.score > 0.98 and own.same_sex > 0.98
    assert figures[2].same_sex is None and figures[male].same_sex is None


def test_dealt_out_labels_are_those_of_other_faces_of_the_same_kind() -> None:
    true = np.arange(20)[:, None].repeat(40, 1).astype(np.int8)
    tested = np.arange(0, 20, 2)
    dealt, learned = dealt_out(true, true + 50, tested, 0)
    assert set(dealt[tested, 0].tolist()) == set(tested.tolist())
    assert (dealt[:, 0] != np.arange(20)).sum() > 10 and (learned == dealt + 50).all()
    assert (dealt == dealt[:, :1]).all()  # whole rows


def test_too_few_faces_and_odd_sizes_are_refused(planted: PreparedFolder, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"{PLAIN} faces have a mask .* 200 are needed"):
        measure(planted, "planted", QUICK, count=100, progress=False)
    with PreparedWriter(tmp_path / "odd", 40, "folder") as writer:
        face = np.zeros((40, 40, 3), np.uint8)
        writer.add("a", face, face[..., 0], np.zeros(40, np.int8), "test")
    with pytest.raises(UserError, match="the faces have 40 px"):
        measure(PreparedFolder.open(tmp_path / "odd"), "odd", QUICK, progress=False)
