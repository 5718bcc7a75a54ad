from __future__ import annotations

import pytest

from facecond.data.official_splits import celeba_split, official_part, paper_split
from facecond.errors import UserError

ALL = range(30_000)


@pytest.mark.parametrize("first_test", [27_000, 28_000])
def test_paper_splits_go_by_id(first_test: int) -> None:
    splits = paper_split(ALL, first_test, 0, 0.1)
    assert splits[first_test:] == ["test"] * (30_000 - first_test)
    assert splits[:first_test].count("judges") == first_test // 10
    assert splits[:first_test].count("generator") == first_test - first_test // 10
    # Drawn all over the training ids, by seed.
    assert 100 < splits[:2000].count("judges") < 300
    assert splits == paper_split(ALL, first_test, 0, 0.1) != paper_split(ALL, first_test, 1, 0.1)


def test_a_subset_keeps_the_split_of_everybody() -> None:
    whole = paper_split(ALL, 27_000, 3, 0.2)
    some = [5, 2, 4000, 26_999, 27_000, 29_999]
    assert paper_split(some, 27_000, 3, 0.2) == [whole[face] for face in some]
    assert set(paper_split(range(50), 27_000, 3, 0.0)) == {"generator"}


def test_people_stay_together_outside_the_test_split() -> None:
    people = {face: str(face % 9000) for face in ALL}
    splits = paper_split(ALL, 27_000, 0, 0.1, people)
    for person in range(9000):
        assert len({splits[person], splits[person + 9000], splits[person + 18_000]}) == 1
    assert splits[27_000:] == ["test"] * 3000


def test_a_share_out_of_range() -> None:
    with pytest.raises(UserError, match="--judges-fraction"):
        paper_split(ALL, 27_000, 0, 1.5)


def test_the_official_partition_by_number() -> None:
    edges = {"000001": 0, "162770": 0, "162771": 1, "182637": 1, "182638": 2, "202599": 2}
    assert {name: official_part(name) for name in edges} == edges


def test_celeba_split_through_the_mapping() -> None:
    names = {0: "000001", 1: "170000", 2: "200000", 3: "000002"}
    assert celeba_split([0, 1, 2], names, None) == ["generator", "judges", "test"]
    given = {"000001": 2, "170000": 0, "200000": 1}
    assert celeba_split([2, 1, 0], names, given) == ["judges", "generator", "test"]
    with pytest.raises(UserError, match="no row for id 9"):
        celeba_split([0, 9], names, None)
    with pytest.raises(UserError, match=r"no row for 000002\.jpg"):
        celeba_split([0, 3], names, given)
