import numpy as np
import pytest

from facecond.data.splits import assign_splits, half_of
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
