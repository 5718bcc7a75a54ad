"""Who is in which split: by seed and share, without an identity on two sides."""

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
            the identity must be allowed). Default all.

    Returns:
        [N] splits. Without identities the shares are exact up to rounding; with them a split may
        go over its share by less than one identity.

    Raises:
        UserError: fewer names than asked for may be in the test split.
    """
    check_shares(judges_fraction, test_fraction)
    groups: dict[tuple[str, str], list[int]] = {}
    for index, name in enumerate(names):
        identity = (identities or {}).get(name)
        groups.setdefault(("identity", identity) if identity else ("name", name), []).append(index)
    members = list(groups.values())
    order = numpy_generator(seed, "splits").permutation(len(members))
    result = np.full(len(names), SPLITS[0], dtype=object)
    taken = np.zeros(len(members), bool)
    for split, share in (("test", test_fraction), ("judges", judges_fraction)):
        wanted, have = round(share * len(names)), 0
        for group in order:
            if have >= wanted:
                break
            barred = split == "test" and may_test is not None and not may_test[members[group]].all()
            if taken[group] or barred:
                continue
            taken[group] = True
            result[members[group]] = split
            have += len(members[group])
        if have < wanted and split == "test":
            what = f"{wanted} test faces wanted, {have} have all attributes"
            raise UserError(what, "--test-fraction", "Ask for fewer.")
    return result.tolist()


def half_of(name: str) -> str:
    """`a` or `b`: which half of the judges' split a name is in.

    It depends on the name alone, so that everybody who cuts a split in two cuts it alike: a judge
    that labels and a judge that scores then learn from different pictures.
    """
    return "ab"[key_of("half", name) % 2]
