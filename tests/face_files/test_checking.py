"""Records with a field that is missing, of another kind or out of range."""

from __future__ import annotations

import json
from typing import Any

import pytest

from facecond.errors import UserError
from facecond.face_files.checking import OPTIONAL, REQUIRED, checked_record

WRONG: dict[str, tuple[Any, ...]] = {
    "seed": (-1, 1.5, True, "7"),
    "attribute_values": ({}, {"Smiling": 1}, [0] * 40),
    "mask": (None, 3),
    "mask_sha256": ("", "0" * 63, None),
    "model": ("", None),
    "model_hash": ("0", 5),
    "guidance": (None, [], {"mask": -1}, {"mask": "2"}, {"mask": float("nan")}),
    "guidance_interval": ([0.2], [0.9, 0.2], [0, 2], "0:1"),
    "guidance_rescale": (2, None),
    "weaker": ("", 5, "only/a/path"),
    "weaker_hash": ("0", 5),
    "scheduler": (None, 5),
    "scheduler_hash": (None, ""),
    "steps": (0, -3, 1001, 4.5, None),
    "routing_hash": (None, "x"),
    "batch_size": (0, -1, 10**9, True),
    "batch_index": (-1, 4, None),
    "device": (None, ""),
    "precision": (None, 16),
    "threads": (0, -1, 10**9),
    "versions": (None, ["torch"], {"torch": 2}),
    "file": ("", 5),
    "mask_png": (None, 5),
    "routing_table": (None, "all_all"),
    "references": (None, [{}], [{"file": "a.png", "sha256": "0" * 64, "take": "x", "weight": -1}]),
    "machine": (None, {"processor": 5}),
    "compiled": (None, 1, "yes"),
    "feature_reuse": (None, 0, 1.5, True),
}


@pytest.fixture(scope="module")
def record(made: Any) -> dict[str, Any]:
    artist, request, _ = made
    return json.loads(json.dumps(artist.record(request, 4, 2)))


def test_a_record_as_written_is_whole(record: dict[str, Any]) -> None:
    assert checked_record(record, "face.png") == record
    later = {name: value for name, value in record.items() if name in REQUIRED}
    checked_record(later, "face.png")
    assert {*REQUIRED, *OPTIONAL} == set(WRONG)


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_field_is_named(record: dict[str, Any], name: str) -> None:
    without = {key: value for key, value in record.items() if key != name}
    with pytest.raises(UserError, match=rf"face\.png: its record is damaged \('{name}' is missing"):
        checked_record(without, "face.png")


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in WRONG.items() for v in vs])
def test_a_wrong_field_is_named(record: dict[str, Any], name: str, value: Any) -> None:
    with pytest.raises(UserError, match=rf"its record is damaged \('{name}'"):
        checked_record(record | {name: value}, "face.png")


def test_an_attribute_that_is_no_state(record: dict[str, Any]) -> None:
    values = record["attribute_values"] | {"Smiling": 2}
    with pytest.raises(UserError, match="attribute_values"):
        checked_record(record | {"attribute_values": values}, "face.png")


def test_a_hash_without_its_weaker_model(record: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="'weaker' and 'weaker_hash' do not go together"):
        checked_record(record | {"weaker_hash": "0" * 64}, "face.png")
