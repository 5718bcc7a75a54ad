"""The page on references, on a pipeline whose pictures say what it was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from facecond.data.factors import Factors
from facecond.data.prepared import PreparedFolder
from facecond.data.writing import PreparedWriter
from facecond.evaluation.reference_showcase import CASES, from_references, tiles, write_picture
from facecond.evaluation.report import render_report
from facecond.evaluation.report_parts import FromReferences, Report
from facecond.evaluation.showcase import Sampler
from facecond.labels import ATTRIBUTES
from facecond.models.qformer import source_of
from facecond.models.reference import Reference

SIZE, SIDE = 16, 3


class Recording:
    """Pictures: mask; how many attributes are given; what is taken, of whose picture."""

    def __init__(self, *instructions: str) -> None:
        self.condition_encoder = SimpleNamespace(taught=instructions)
        self.unet = SimpleNamespace(routed={source_of(take) for take in instructions})

    def __call__(
        self,
        attributes: np.ndarray,
        mask: np.ndarray,
        seeds: Sequence[int],
        reference: Sequence[Reference] = (),
    ) -> SimpleNamespace:
        images = np.zeros((len(seeds), SIZE, SIZE, 3), np.uint8)
        images[..., 0] = mask
        images[:, 0, 0, 1] = (attributes >= 0).sum(1)
        for place, each in enumerate(reference):
            images[:, 1 + place, 0, 1] = ("", "appearance", "geometry", "everything").index(
                each.take
            )
            images[:, place, 0, 2] = each.image[:, 0, 0, 0]
        return SimpleNamespace(images=images)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> PreparedFolder:
    """One block of 3 x 3 faces; a picture holds its number, a mask that of its geometry."""
    root = tmp_path_factory.mktemp("reference_showcase") / "faces"
    factors = {f"{i}": Factors(f"{i // SIDE}", f"{i % SIDE}") for i in range(SIDE**2)}
    with PreparedWriter(root, SIZE, "rendered", factors=factors) as writer:
        for i in range(SIDE**2):
            image = np.full((SIZE, SIZE, 3), i, np.uint8)
            mask = np.full((SIZE, SIZE), i // SIDE, np.uint8)
            values = np.zeros(40, np.int8)
            values[ATTRIBUTES.index("Blond_Hair")] = i % SIDE == 1
            writer.add(f"{i}", image, mask, values, "test")
    return PreparedFolder.open(root)


def shown(folder: PreparedFolder, *instructions: str) -> FromReferences | None:
    sample = Sampler(Recording(*instructions), 0, {})
    return from_references(sample, folder, folder.indices("test"), 0)


def test_columns_are_what_was_asked_with_the_truth_beside_it(folder: PreparedFolder) -> None:
    part = shown(folder, "appearance", "geometry")
    assert part is not None and len(part.references) == CASES
    assert list(part.columns) == [
        "without it", "its appearance", "of two pictures", "the truth", "its geometry",
        "that truth",
    ]  # fmt: skip
    for case in range(CASES):
        taken, own = int(part.references[case, 0, 0, 0]), int(part.real[case, 0, 0, 0])
        asked = {name: faces[case] for name, faces in part.columns.items()}
        assert (part.masks[case] == own // SIDE).all()
        truths = asked["the truth"][0, 0, 0], asked["that truth"][0, 0, 0]
        assert truths == (own // SIDE * SIDE + taken % SIDE, taken // SIDE * SIDE + own % SIDE)
        for name, mask, number in (("without it", own // SIDE, 0), ("its appearance", own // SIDE,
                                    1), ("its geometry", 255, 2)):  # fmt: skip
            face = asked[name]
            assert (face[..., 0] == mask).all() and face[1, 0, 1] == number
            assert face[0, 0, 2] == (taken if number else 0) and face[0, 0, 1] > 0
        two = asked["of two pictures"]
        assert two[:3, 0, 1].tolist() == [0, 1, 2]  # nothing else is given
        assert two[:2, 0, 2].tolist() == [taken, own] and (two[..., 0] == 255).all()
        assert part.words[case] == ("Blond_Hair" if own % SIDE == 1 else "")


def test_a_model_without_instructions_takes_everything_once(folder: PreparedFolder) -> None:
    part = shown(folder, "everything")
    assert part is not None
    assert list(part.columns["its appearance"][0, 1:3, 0, 1]) == [3, 0]
    assert "its geometry" in part.columns and "of two pictures" not in part.columns
    only = shown(folder, "appearance")
    assert only is not None and "its geometry" not in only.columns
    assert shown(folder) is None


def test_the_page_and_the_picture_hold_all_tiles(folder: PreparedFolder, tmp_path: Path) -> None:
    part = shown(folder, "appearance", "geometry")
    assert part is not None
    rows, head = tiles(part)
    assert head[:3] == ["reference", "mask", "its face"] and {len(row) for row in rows} == {9}
    page = render_report(Report("A page", "Made here.", [], taken=part))
    assert page.count("<img") == CASES * 9 and "What is taken from a reference face" in page
    assert "What is taken" not in render_report(Report("A page", "Made here.", []))
    write_picture(tmp_path / "references.png", part)
    width, height = Image.open(tmp_path / "references.png").size
    assert width > 9 * 128 and height > CASES * 128


def test_real_faces_have_no_truth(folder: PreparedFolder) -> None:
    plain: Any = SimpleNamespace(
        factors=None, identities=None, source="folder", image_size=SIZE, root=folder.root,
        names=folder.names, attributes=folder.attributes, indices=folder.indices,
        mask=folder.mask, image=folder.image,
    )  # fmt: skip
    part = shown(plain, "appearance", "geometry")
    assert part is not None
    assert list(part.columns) == ["without it", "its appearance", "of two pictures", "its geometry"]
