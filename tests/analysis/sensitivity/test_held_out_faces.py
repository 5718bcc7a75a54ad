"""Faces, instances of a level and grids from a prepared folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facecond.analysis.sensitivity.faces import choose_faces
from facecond.analysis.sensitivity.grid import choose_grid
from facecond.analysis.sensitivity.instances import contradicted, reconciled, redrawn, restated
from facecond.cli import main
from facecond.data.prepared import PreparedFolder
from facecond.errors import UserError
from facecond.labels import ATTRIBUTES, MASK_CLASSES, UNSPECIFIED, parse_attributes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> PreparedFolder:
    """40 rendered faces, 20 of them in the test split."""
    out = tmp_path_factory.mktemp("sensitivity") / "faces"
    words = ["data", "render", "--out", str(out), "--count", "40", "--size", "64"]
    shares = ["--judges-fraction", "0.1", "--test-fraction", "0.5"]
    assert main([*words, *shares, "--workers", "1"]) == 0
    return PreparedFolder.open(out)


def test_a_mask_drawn_again_is_the_same_mask_a_pixel_aside() -> None:
    mask = np.random.default_rng(0).integers(0, 19, (128, 128)).astype(np.uint8)
    shifts = set()
    for key in range(40):
        again = redrawn(mask, key)
        matches = [
            (y, x)
            for y in (-2, 0, 2)
            for x in (-2, 0, 2)
            if np.array_equal(np.roll(mask, (-y, -x), (0, 1))[4:-4, 4:-4], again[4:-4, 4:-4])
        ]
        assert len(matches) == 1  # 128 px: by two pixels
        shifts.add(matches[0])
    assert len(shifts) == 8 and (0, 0) not in shifts


def test_attributes_stated_again_leave_a_tenth_open() -> None:
    values = np.random.default_rng(0).integers(0, 2, 40).astype(np.int8)
    values[:10] = UNSPECIFIED
    again = restated(values, 0)
    changed = again != values
    assert changed.sum() == 3 and (again[changed] == UNSPECIFIED).all()
    assert not np.array_equal(again, restated(values, 1))
    assert (restated(np.full(40, UNSPECIFIED, np.int8), 0) == UNSPECIFIED).all()


def test_what_a_mask_contradicts_is_left_open() -> None:
    face = np.full((64, 64), MASK_CLASSES.index("skin"), np.uint8)
    glasses = face.copy()
    glasses[20:30, 10:50] = MASK_CLASSES.index("eye_g")
    values = parse_attributes("Eyeglasses,Blond_Hair,Male,-Wearing_Hat")
    wrong = contradicted(values, face)
    assert [ATTRIBUTES[i] for i in np.flatnonzero(wrong)] == ["Blond_Hair", "Eyeglasses"]
    assert not contradicted(values, glasses)[ATTRIBUTES.index("Eyeglasses")]
    assert contradicted(parse_attributes("-Eyeglasses"), glasses).sum() == 1
    assert not contradicted(values, np.full((64, 64), 255, np.uint8)).any()  # all of it is open
    kept = reconciled(values, [glasses, face])
    assert np.array_equal(kept, parse_attributes("Male,-Wearing_Hat"))


def test_faces_are_held_out_and_paired_without_contradictions(folder: PreparedFolder) -> None:
    faces = choose_faces(folder, 12, seed=0)
    assert set(faces.rows) <= set(folder.indices("test")) and (np.diff(faces.rows) > 0).all()
    for i, row in enumerate(map(int, faces.rows)):
        assert np.array_equal(faces.images[i], folder.image(row))
        assert np.array_equal(faces.own.masks[i], folder.mask(row))
        stated = faces.own.attributes[i] != UNSPECIFIED
        assert stated.sum() > 20
        assert (faces.own.attributes[i] == folder.attributes[row])[stated].all()
        assert not np.array_equal(faces.other.masks[i], faces.own.masks[i])
        for condition in (faces.own, faces.other):
            for mask in (faces.own.masks[i], faces.other.masks[i]):
                assert not contradicted(condition.attributes[i], mask).any()
    again = choose_faces(folder, 12, seed=0)
    assert np.array_equal(again.same.masks, faces.same.masks)
    assert not np.array_equal(choose_faces(folder, 12, seed=1).rows, faces.rows)


def test_too_few_faces_are_an_error_that_says_how_many_there_are(folder: PreparedFolder) -> None:
    with pytest.raises(UserError, match=r"21 test faces .* 20 are there. Use --images 20"):
        choose_faces(folder, 21, seed=0)


def test_a_grid_is_full_held_out_and_free_of_contradictions(folder: PreparedFolder) -> None:
    grid = choose_grid(folder, 4, 3, 2, seed=0)
    assert grid.shape == (4, 3, 2) and len(set(grid.seeds)) == 2
    test = set(folder.indices("test"))
    assert set(grid.setting_rows) <= test and set(grid.mask_rows) <= test
    assert len(np.unique(grid.settings, axis=0)) == 4 and len(set(grid.mask_rows)) == 3
    glasses = ATTRIBUTES.index("Eyeglasses")
    assert (grid.settings[:, glasses] == UNSPECIFIED).all()  # geometry is left to the mask
    for values in grid.settings:
        for mask in grid.masks:
            assert not contradicted(values, mask).any()
    setting, mask, seed = grid.cells()
    assert len({*zip(setting, mask, seed, strict=True)}) == len(grid) == 24
    with pytest.raises(UserError, match=r"50 and 4 are wanted.*Lower --masks"):
        choose_grid(folder, 4, 50, 2, seed=0)


def test_the_folder_stays_as_it_is(folder: PreparedFolder) -> None:
    assert {path.name for path in Path(folder.root).iterdir()} == {
        "attributes.csv", "images", "manifest.json", "masks", "splits",
    }  # fmt: skip
