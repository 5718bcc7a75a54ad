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
