"""Conditions: which rows, which seeds, and changes of one thing at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from facecond.data.prepared import PreparedFolder
from facecond.errors import UserError
from facecond.evaluation.conditions import (
    OPENED,
    condition_rows,
    noise_seed,
    partly_open,
    switched,
)
from facecond.labels import ANYTHING, APPEARANCE, ATTRIBUTES, MASK_CLASSES, exclusive_with


def test_conditions_are_complete_and_never_come_twice(world: Any, faces: PreparedFolder) -> None:
    there = world.test_rows - 1  # one test face has no mask
    rows = condition_rows(faces, None, seed=0)
    assert len(set(rows)) == len(rows) == there
    assert set(faces.splits[rows]) == {"test"}
    assert faces.has_mask[rows].all()
    assert (condition_rows(faces, 20, seed=0) == rows[:20]).all()
    assert (condition_rows(faces, None, seed=1) != rows).any()
    with pytest.raises(UserError, match=f"{there} are there.*--n {there}"):
        condition_rows(faces, there + 1, seed=0)
    assert (condition_rows(faces, there + 1, seed=0, or_fewer=True) == rows).all()
    assert (condition_rows(faces, 20, seed=0, or_fewer=True) == rows[:20]).all()


def test_seeds_differ_by_seed_row_and_sample() -> None:
    keys = [(s, r, k) for s in range(3) for r in range(20) for k in range(4)]
    seeds = {key: noise_seed(*key) for key in keys}
    assert len(set(seeds.values())) == len(keys)
    assert noise_seed(2, 7) == seeds[2, 7, 0]
    assert all(0 <= seed < 2**31 for seed in seeds.values())


def test_switching_opens_what_it_excludes_and_keeps_the_rest() -> None:
    values = np.zeros((2, 40), np.int8)
    off, on = switched(values, "Blond_Hair")
    column = ATTRIBUTES.index("Blond_Hair")
    hair = [ATTRIBUTES.index(n) for n in ("Black_Hair", "Brown_Hair", "Gray_Hair", "Bald")]
    assert exclusive_with("Blond_Hair") == sorted(hair)
    assert (off[:, column] == 0).all() and (on[:, column] == 1).all()
    for side in (off, on):
        assert (side[:, hair] == -1).all()
        assert (np.delete(side, [column, *hair], 1) == 0).all()
    assert (values == 0).all()
    assert exclusive_with("Young") == []


def test_every_exclusion_is_mutual_and_every_name_known() -> None:
    for i, name in enumerate(ATTRIBUTES):
        assert all(i in exclusive_with(ATTRIBUTES[other]) for other in exclusive_with(name))
    assert set(ATTRIBUTES) >= APPEARANCE and len(APPEARANCE) == 20


def test_every_variant_opens_something_and_leaves_something() -> None:
    mask = np.arange(19 * 4, dtype=np.uint8).reshape(4, 19).repeat(2, 0) % 19
    for variant in range(len(OPENED) + 1):
        opened = partly_open(mask, variant) == ANYTHING
        assert opened.any() and not opened.all()
        assert np.array_equal(partly_open(mask, variant)[~opened], mask[~opened])
        assert np.array_equal(opened, partly_open(mask, variant + len(OPENED) + 1) == ANYTHING)
    hair = MASK_CLASSES.index("hair")
    assert (partly_open(mask, 0)[mask == hair] == ANYTHING).all()
