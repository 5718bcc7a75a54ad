import numpy as np
import pytest

from facecond.data.splits import assign_splits, folds, half_of, hold_out
from facecond.errors import UserError

NAMES = [f"n{i}" for i in range(200)]


def _count(splits):
    return {name: splits.count(name) for name in ("generator", "judges", "test")}


def test_shares_are_exact_and_depend_on_the_seed():
    splits = assign_splits(NAMES, 0, 0.2, 0.1)
    assert _count(splits) == {"generator": 140, "judges": 40, "test": 20}
    assert assign_splits(NAMES, 0, 0.2, 0.1) == splits != assign_splits(NAMES, 1, 0.2, 0.1)
    assert _count(assign_splits(NAMES, 0, 1.0, 0.0)) == {"generator": 0, "judges": 200, "test": 0}


def test_an_identity_stays_in_one_split():
    random = np.random.default_rng(0)
    identities = {name: str(random.integers(30)) for name in NAMES[:180]}
    splits = assign_splits(NAMES, 0, 0.3, 0.2, identities)
    for identity in set(identities.values()):
        assert (
            len({s for n, s in zip(NAMES, splits, strict=True) if identities.get(n) == identity})
            == 1
        )
    largest = max(list(identities.values()).count(i) for i in set(identities.values()))
    assert 40 <= splits.count("test") < 40 + largest
    assert 60 <= splits.count("judges") < 60 + largest


def test_names_without_identity_are_not_one_person():
    splits = assign_splits(NAMES, 0, 0.5, 0.0, dict.fromkeys(NAMES, ""))
    assert splits.count("judges") == 100


def test_test_split_takes_only_what_it_may():
    may_test = np.arange(200) % 4 == 0
    splits = assign_splits(NAMES, 0, 0.2, 0.2, may_test=may_test)
    assert _count(splits) == {"generator": 120, "judges": 40, "test": 40}
    assert all(may_test[i] for i, split in enumerate(splits) if split == "test")
    with pytest.raises(UserError, match="100 test faces wanted, 50 have"):
        assign_splits(NAMES, 0, 0.0, 0.5, may_test=may_test)


@pytest.mark.parametrize("persons", [None, {name: str(i // 4) for i, name in enumerate(NAMES)}])
def test_judges_get_their_share_of_what_the_test_split_may_hold(persons):
    may_test = np.arange(200) % 20 < 4  # 40 of 200, by whole persons
    splits = np.array(assign_splits(NAMES, 0, 0.2, 0.1, persons, may_test))
    assert _count(splits.tolist()) == {"generator": 140, "judges": 40, "test": 20}
    # Of the 20 that the test split leaves, 40 / 180 go to the judges: 4.
    assert _count(splits[may_test].tolist()) == {"generator": 16, "judges": 4, "test": 20}


def test_the_judges_share_holds_when_the_test_split_takes_nothing_or_everything():
    may_test = np.arange(200) < 50
    splits = np.array(assign_splits(NAMES, 3, 0.4, 0.0, may_test=may_test))
    assert _count(splits[may_test].tolist()) == {"generator": 30, "judges": 20, "test": 0}
    splits = np.array(assign_splits(NAMES, 3, 0.4, 0.25, may_test=may_test))
    assert _count(splits.tolist()) == {"generator": 70, "judges": 80, "test": 50}


def test_held_out_are_whole_persons():
    persons = {name: str(index // 5) for index, name in enumerate(NAMES[:150])}
    aside, rest = hold_out(NAMES, persons, 0.1, np.random.default_rng(0))
    assert sorted([*aside, *rest]) == list(range(200)) and 20 <= len(aside) < 25
    of = [{persons.get(NAMES[i], NAMES[i]) for i in side} for side in (aside, rest)]
    assert not of[0] & of[1]
    one = hold_out(NAMES, dict.fromkeys(NAMES, "me"), 0.1, np.random.default_rng(0))
    nobody = hold_out(NAMES, None, 0.1, np.random.default_rng(0))
    assert len(one[0]) == 20 and all(map(np.array_equal, one, nobody))
    expected = np.random.default_rng(0).permutation(200)[:20]  # as before persons were known
    assert nobody[0].tolist() == sorted(expected)
    pair = hold_out(["a", "b", "c"], {"a": "1", "b": "1"}, 0.9, np.random.default_rng(0))
    assert min(map(len, pair)) >= 1


def test_folds_are_even_and_do_not_divide_persons():
    alone = folds(NAMES, None, 5, 0)
    assert np.bincount(alone).tolist() == [40] * 5
    assert alone.tolist() != folds(NAMES, None, 5, 1).tolist()
    persons = {name: str(index // 3) for index, name in enumerate(NAMES)}
    shared = folds(NAMES, persons, 5, 0)
    assert len(set(zip(shared, persons.values(), strict=True))) == len(set(persons.values()))
    assert np.ptp(np.bincount(shared)) <= 3


@pytest.mark.parametrize("shares", [(-0.1, 0.1), (0.1, 1.5), (0.6, 0.6), (float("nan"), 0.1)])
def test_shares_out_of_range(shares):
    with pytest.raises(UserError, match="fraction"):
        assign_splits(NAMES, 0, *shares)


def test_halves_depend_on_the_name_alone_and_are_even():
    names = [f"{i:05d}" for i in range(4000)]
    halves = [half_of(name) for name in names]
    assert set(halves) == {"a", "b"}
    assert abs(halves.count("a") - 2000) < 4 * (4000 * 0.25) ** 0.5
    # Frozen: judges trained before and after must cut a split alike.
    assert "".join(halves[:12]) == "aaaabbababbb"
    people = [half_of(name, str(i // 2)) for i, name in enumerate(names)]
    assert people[::2] == people[1::2] and set(people) == {"a", "b"}
    assert half_of("anything", "7") == half_of("else", "7")
