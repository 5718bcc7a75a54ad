"""Who is in which split, fold or half: by seed and share, without an identity on two sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from facecond.data.writing import SPLITS
from facecond.errors import UserError
from facecond.seeding import key_of, numpy_generator


def check_shares(judges_fraction: float, test_fraction: float) -> None:
    """Raise `UserError` unless both shares lie in [0, 1] and sum to at most 1."""
    for option, share in (
        ("--judges-fraction", judges_fraction),
        ("--test-fraction", test_fraction),
    ):
        if not 0 <= share <= 1:
            raise UserError(f"{share} is not a share", option, "Give a number from 0 to 1.")
    if judges_fraction + test_fraction > 1 + 1e-9:
        what = f"{judges_fraction} and {test_fraction} sum to more than 1"
        raise UserError(what, "--judges-fraction, --test-fraction", "Lower one of them.")


def assign_splits(
    names: Sequence[str],
    seed: int,
    judges_fraction: float,
    test_fraction: float,
    identities: Mapping[str, str] | None = None,
    may_test: np.ndarray | None = None,
) -> list[str]:
    """Draw the split of each name: first the test split, then judges; the rest is generator.

    Args:
        names: [N] distinct names.
        seed: of the drawing.
        judges_fraction: share of all names for the judges' split.
        test_fraction: share of all names for the test split.
        identities: name -> identity; all names of an identity go to the same split. A name that
            is missing, or has an empty identity, stands for itself.
        may_test: bool [N]: which names the test split may hold (with identities: every name of
            the identity must be allowed). The judges then get their share of those that the test
            split leaves, as they do of the others. Default all.

    Returns:
        [N] splits. Without identities the shares are exact up to rounding; with them a split may
        go over its share by less than one identity.

    Raises:
        UserError: fewer names than asked for may be in the test split.
    """
    check_shares(judges_fraction, test_fraction)
    allowed = np.ones(len(names), bool) if may_test is None else may_test
    members = by_person(names, identities)
    order = numpy_generator(seed, "splits").permutation(len(members))
    people = [np.array(members[group]) for group in order]
    result = np.full(len(names), SPLITS[0], dtype=object)
    wanted = round(test_fraction * len(names))
    testable = [rows for rows in people if allowed[rows].all()]
    result[_first(testable, wanted)] = "test"
    if (have := int((result == "test").sum())) < wanted:
        what = f"{wanted} test faces wanted, {have} have all attributes"
        raise UserError(what, "--test-fraction", "Ask for fewer.")
    rest = [rows for rows in people if result[rows[0]] != "test"]
    left = [[rows for rows in rest if allowed[rows].any() == kind] for kind in (True, False)]
    sizes = [sum(map(len, kind)) for kind in left]
    wanted = round(judges_fraction * len(names))
    share = round(wanted * sizes[0] / max(sum(sizes), 1))
    for kind, count in zip(left, (share, wanted - share), strict=True):
        result[_first(kind, count)] = "judges"
    return result.tolist()


def by_person(names: Sequence[str], identities: Mapping[str, str] | None) -> list[list[int]]:
    """Places in `names` of each person, in the order in which they appear.

    A name that is missing in `identities`, or has an empty identity, is a person of its own.
    """
    groups: dict[tuple[str, str], list[int]] = {}
    for index, name in enumerate(names):
        identity = (identities or {}).get(name)
        groups.setdefault(("identity", identity) if identity else ("name", name), []).append(index)
    return list(groups.values())


def hold_out(
    names: Sequence[str],
    identities: Mapping[str, str] | None,
    share: float,
    generator: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Set a share of the names aside, at least one; nobody is on both sides.

    Returns:
        int64 places in `names`, ascending: those held out and the others. The former may go over
        the share by less than one person; where all are one person, by name all the same.
    """
    members = by_person(names, identities)
    if len(members) == 1:
        members = by_person(names, None)
    order = generator.permutation(len(members))
    wanted = max(int(len(names) * share), 1)
    aside = np.zeros(len(names), bool)
    aside[_first([np.array(members[group]) for group in order[:-1]], wanted)] = True
    return np.flatnonzero(aside), np.flatnonzero(~aside)


def folds(
    names: Sequence[str], identities: Mapping[str, str] | None, count: int, seed: int
) -> np.ndarray:
    """int64 [N]: which of `count` folds each name is in. Folds are even as far as persons, who
    are never divided, allow."""
    members = by_person(names, identities)
    result, sizes = np.empty(len(names), np.int64), np.zeros(count, np.int64)
    for group in numpy_generator(seed, "folds").permutation(len(members)):
        fold = int(np.argmin(sizes))
        result[members[group]] = fold
        sizes[fold] += len(members[group])
    return result


def half_of(name: str, identity: str = "") -> str:
    """`a` or `b`: which half of the judges' split a name is in.

    It depends on the identity alone, or on the name where that is not known, so that everybody who
    cuts a split in two cuts it alike: a judge that labels and a judge that scores then learn from
    different pictures, and of different persons.
    """
    key = key_of("half", "identity", identity) if identity else key_of("half", name)
    return "ab"[key % 2]


def _first(people: Sequence[np.ndarray], wanted: int) -> np.ndarray:
    """int64: the rows of the first people who are `wanted` rows together, or just above."""
    before = np.cumsum([0, *map(len, people)])[:-1]
    return np.concatenate([np.empty(0, np.int64), *people[: int((before < wanted).sum())]])
