"""Rendered data sets on disk: the same whatever the workers, whole or not there at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facecond.data.prepared import PreparedFolder
from facecond.data.render_set import render_plain, render_prepared
from facecond.data.rendered import render
from facecond.errors import UserError
from facecond.labels import ATTRIBUTES


def test_the_number_of_workers_changes_nothing(tmp_path: Path) -> None:
    one = render_prepared(tmp_path / "one", 20, 64, seed=3, workers=1)
    two = render_prepared(tmp_path / "two", 20, 64, seed=3, workers=2)
    assert one.data_hash == two.data_hash
    for split in ("generator", "judges", "test"):
        assert np.array_equal(one.indices(split), two.indices(split))


def test_a_longer_set_begins_with_the_faces_of_a_shorter_one(tmp_path: Path) -> None:
    short = render_prepared(tmp_path / "short", 3, 64, workers=1)
    long = render_prepared(tmp_path / "long", 6, 64, workers=1)
    for index in range(3):
        assert np.array_equal(short.image(index), long.image(index))
        assert np.array_equal(short.mask(index), long.mask(index))


def test_shares_that_cannot_be_leave_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="more than 1"):
        render_prepared(tmp_path / "a", 4, 64, judges_fraction=0.8, test_fraction=0.5, workers=1)
    assert not (tmp_path / "a").exists()


def test_the_plain_table_states_what_the_picture_shows_and_leaves_gaps(tmp_path: Path) -> None:
    render_plain(tmp_path / "plain", 3, 64, seed=1, workers=1)
    header, *rows = (tmp_path / "plain" / "attributes.csv").read_text().splitlines()
    assert header.split(",")[1:] == list(ATTRIBUTES)
    coding = {1: "1", 0: "-1", -1: ""}
    for index, row in enumerate(rows):
        name, *values = row.split(",")
        assert (tmp_path / "plain" / "images" / f"{name}.png").is_file()
        assert values == [coding[int(v)] for v in render(1, index, 64).attributes]


def test_a_folder_in_use_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="is in use"):
        render_plain(folder, 2, 64, workers=1)
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]
    assert isinstance(render_prepared(tmp_path / "other", 2, 64, workers=1), PreparedFolder)


def test_variations_come_in_blocks_of_one_split_with_their_factors(tmp_path):
    folder = render_prepared(tmp_path / "a", 36, 64, 5, True, 0.25, 0.25, workers=1, variations=3)
    assert folder.manifest["details"] == {"seed": 5, "correlated": True, "variations": 3}
    for block in range(4):
        rows = range(9 * block, 9 * block + 9)
        assert len(set(folder.splits[list(rows)])) == 1
        pairs = {
            (f.geometry, f.appearance) for f in (folder.factors[folder.names[i]] for i in rows)
        }
        ids = [str(3 * block + k) for k in range(3)]
        assert pairs == {(g, a) for g in ids for a in ids}
    assert set(folder.splits) == {"generator", "judges", "test"}
    for index in (0, 10, 23, 35):
        factors = folder.factors[folder.names[index]]
        face = render(5, int(factors.geometry), 64, appearance=int(factors.appearance))
        np.testing.assert_array_equal(folder.image(index), face.image)
        np.testing.assert_array_equal(folder.mask(index), face.mask)
        np.testing.assert_array_equal(folder.attributes[index], face.attributes)
    two = render_prepared(tmp_path / "b", 36, 64, 5, True, 0.25, 0.25, workers=2, variations=3)
    assert two.data_hash == folder.data_hash


def test_one_variation_is_the_plain_series(tmp_path):
    folder = render_prepared(tmp_path / "a", 4, 64, seed=3, workers=1, variations=1)
    assert folder.factors is None and not (tmp_path / "a" / "factors.csv").exists()
    assert folder.manifest["details"] == {"seed": 3, "correlated": True}
    for index in range(4):
        np.testing.assert_array_equal(folder.image(index), render(3, index, 64).image)


@pytest.mark.parametrize(
    ("count", "variations", "message"),
    [
        (10, 2, "--count: 10 faces are no whole blocks of 2 x 2.*multiple of 4, such as 8 or 12"),
        (5, 3, "--count: 5 faces are no whole blocks of 3 x 3.*such as 9"),
        (5, 0, "--variations: 0 is out of range"),
    ],
)
def test_counts_that_cut_a_block_are_refused(tmp_path, count, variations, message):
    with pytest.raises(UserError, match=message):
        render_prepared(tmp_path / "a", count, 64, variations=variations)
    assert list(tmp_path.iterdir()) == []


def test_changed_or_lost_factors_are_found(tmp_path):
    folder = render_prepared(tmp_path / "a", 4, 64, workers=1, variations=2)
    path = tmp_path / "a" / "factors.csv"
    assert path.read_text().splitlines()[:2] == ["name,geometry,appearance", "000000,0,0"]
    assert folder.manifest["files"]["factors.csv"]
    path.write_text(path.read_text().replace("000000,0,0", "000000,0,1"))
    with pytest.raises(UserError, match="was changed after it was prepared"):
        PreparedFolder.open(tmp_path / "a")
    path.unlink()
    with pytest.raises(UserError, match=r"factors\.csv: is missing"):
        PreparedFolder.open(tmp_path / "a")
