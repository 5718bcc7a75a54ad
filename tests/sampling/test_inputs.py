"""Conditions in every form that people give them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from facecond.errors import UserError
from facecond.labels import ATTRIBUTES, parse_attributes
from facecond.sampling.inputs import batch_of, noise_of_seeds, read_attributes

SMILING = ATTRIBUTES.index("Smiling")


def test_forms_of_attributes() -> None:
    wanted = parse_attributes("Smiling,-Male")
    for given in ("Smiling,-Male", {"Smiling": True, "Male": 0, "Young": None}, wanted,
                  wanted.tolist(), torch.from_numpy(wanted)):  # fmt: skip
        values, emphasis = read_attributes(given)
        assert np.array_equal(np.asarray(values), wanted) and not emphasis
    values, emphasis = read_attributes(["Smiling=2", {"Smiling": -1}, "Smiling"])
    assert np.asarray(values)[:, SMILING].tolist() == [1, -1, 1]
    assert {name: scale.tolist() for name, scale in emphasis.items()} == {"Smiling": [2, 1, 1]}
    assert (np.asarray(read_attributes(None)[0]) == -1).all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("Smilling", "Did you mean 'Smiling'"),
        ("Smiling=-1", "no scale of 'Smiling'"),
        ("Smiling=much", "no scale of 'Smiling'"),
        ({"Smiling": 2}, "'Smiling' is 2"),
        ({"Smilling": 1}, "Did you mean 'Smiling'"),
        ("Black_Hair,Blond_Hair", "Black_Hair and Blond_Hair exclude each other"),
        ({"Bald": True, "Gray_Hair": 1}, "Gray_Hair and Bald exclude each other"),
        (["Smiling", "No_Beard,Goatee"], "No_Beard and Goatee exclude each other"),
    ],
)
def test_bad_attributes(given: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_attributes(given)


def test_numbers_may_contradict_each_other_as_data_do() -> None:
    values = parse_attributes("Black_Hair,Blond_Hair")
    for given in (values, values.tolist(), torch.from_numpy(values), values[None]):
        assert np.array_equal(np.asarray(read_attributes(given)[0]).reshape(-1), values)


def test_how_many_faces() -> None:
    values, mask = np.zeros((3, 40)), np.zeros((2, 8, 8))
    assert batch_of(values[0], None, [1, 2], None, None, 1) == 2
    assert batch_of(values, None, None, None, None, 2) == 6
    assert batch_of(values[0], mask, None, None, None, 1) == 2
    assert batch_of(values[0], mask[0], None, None, None, 4) == 4
    assert batch_of(values[0], None, None, [torch.Generator()] * 3, None, 1) == 3
    assert batch_of(values[0], None, None, None, torch.zeros(5, 1), 1) == 5


def test_noise_belongs_to_the_seed() -> None:
    assert torch.equal(noise_of_seeds([3, 4], (2, 4, 4))[1], noise_of_seeds([4], (2, 4, 4))[0])
