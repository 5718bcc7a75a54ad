"""Attributes by region, presets and surprises: complete, and never contradictory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from facecond.errors import UserError
from facecond.labels import ATTRIBUTES, EXCLUSIVE, parse_attributes
from facecond.studio.attributes import (
    GROUPS,
    PRESETS,
    SURPRISES,
    attribute_values,
    spoken,
    surprise,
)


def test_every_attribute_has_one_region() -> None:
    members = [name for group in GROUPS.values() for name in group]
    assert sorted(members) == sorted(ATTRIBUTES)


@pytest.mark.parametrize("words", PRESETS.values(), ids=PRESETS)
def test_presets_are_known_and_possible(words: str) -> None:
    values = parse_attributes(words)
    chosen = {name: int(v) for name, v in zip(ATTRIBUTES, values, strict=True) if v >= 0}
    assert np.array_equal(attribute_values(chosen), values)


def test_surprises_differ_and_never_contradict_themselves() -> None:
    drawn = [surprise(seed) for seed in range(40)]
    assert surprise(3) == surprise(3)
    assert len({tuple(sorted(chosen.items())) for chosen in drawn}) > 35
    for chosen in drawn:
        attribute_values(chosen)  # raises on a contradiction
        assert 2 <= len(chosen) <= SURPRISES[1] + 2


def test_unspecified_is_what_is_not_named() -> None:
    values = attribute_values({"Smiling": 1, "Bald": 0, "Young": -1})
    assert values.dtype == np.int8 and (values >= 0).sum() == 2


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"Smilling": 1}, "Did you mean 'Smiling'"),
        ({"Smiling": 2}, "'Smiling' is 2"),
        ({"Smiling": True}, "'Smiling' is True"),
        ({"Smiling": "on"}, "'Smiling' is 'on'"),
        ({"x" * 10**7: 1}, "unknown attribute"),
        ({str(i): -1 for i in range(41)}, "41 attributes are named, there are 40"),
        ({"Smiling": ["x" * 10**6] * 5}, r"'Smiling' is \['xxx.*\.\.\."),
        ({"Black_Hair": 1, "Bald": 1}, "black hair and bald exclude each other"),
    ],
)
def test_bad_attributes(chosen: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        attribute_values(chosen)


def test_every_pair_of_rivals_is_refused() -> None:
    for group in EXCLUSIVE:
        with pytest.raises(UserError, match="exclude each other"):
            attribute_values(dict.fromkeys(group[:2], 1))
        attribute_values(dict.fromkeys(group, 0))


def test_names_as_people_say_them() -> None:
    assert spoken("5_o_Clock_Shadow") == "5 o'clock shadow"
    assert spoken("Mouth_Slightly_Open") == "mouth slightly open"
