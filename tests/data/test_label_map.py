from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facecond.data.label_map import label_map
from facecond.data.pictures import square_mask
from facecond.errors import UserError
from facecond.labels import ANYTHING, LABEL_ORDERS, MASK_CLASSES

HAIR, HAT = MASK_CLASSES.index("hair"), MASK_CLASSES.index("hat")


def _file(folder: Path, text: str | bytes, name: str = "map.csv") -> str:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


@pytest.mark.parametrize("name", LABEL_ORDERS)
def test_known_orders_by_name(name: str) -> None:
    classes = label_map(name).classes
    for value, word in enumerate(LABEL_ORDERS[name]):
        assert MASK_CLASSES[classes[value]] == word
    assert classes[ANYTHING] == ANYTHING and (classes[19:ANYTHING] == -1).all()


CSV = "value,class\n0,background\n7,hair\n9,hair\n200,anything\n201,255\n"


def test_a_file_maps_several_values_to_one_class(tmp_path: Path) -> None:
    for text in (CSV, CSV.replace("\n", "\r\n").encode("utf-8-sig"), CSV.replace(",", " , ")):
        found = label_map(_file(tmp_path, text))
        expected = np.full(256, -1)
        expected[[0, 7, 9, 200, 201, 255]] = 0, HAIR, HAIR, ANYTHING, ANYTHING, ANYTHING
        np.testing.assert_array_equal(found.classes, expected)
    assert found.name == "map.csv"
    assert found.named()["9"] == "hair" and found.named()["201"] == "anything"
    rows = {"0": "background", "7": "hair", "9": "hair", "200": "anything", "201": 255}
    same = label_map(_file(tmp_path, json.dumps(rows, indent=1), "map.json"))
    np.testing.assert_array_equal(same.classes, found.classes)


def test_a_file_may_give_255_a_class(tmp_path: Path) -> None:
    assert label_map(_file(tmp_path, "value,class\n255,hat\n")).classes[255] == HAT


def test_masks_are_read_through_the_map(tmp_path: Path) -> None:
    labels = label_map(_file(tmp_path, "value,class\n0,background\n7,hair\n100,hat\n9,anything\n"))
    Image.fromarray(np.array([[0, 7], [100, 9]], np.uint8)).save(tmp_path / "m.png")
    mask = square_mask(tmp_path / "m.png", 2, labels, (2, 2))
    np.testing.assert_array_equal(mask, [[0, HAIR], [HAT, ANYTHING]])
    Image.fromarray(np.array([[0, 7], [8, 10]], np.uint8)).save(tmp_path / "m.png")
    with pytest.raises(UserError, match=r"no class: 8, 10\. .* in map\.csv"):
        square_mask(tmp_path / "m.png", 2, labels, (2, 2))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0,background\n", r"line 1: the first line is '0,background'.*value,class"),
        ("", "line 1: the first line is ''"),
        ("value,class\n", "names no value"),
        ("value,class\n0,background\n\n7,hairs\n", "line 4: unknown class 'hairs'.*'hair'"),
        ("value,class\n256,hair\n", "line 2: the value is '256'"),
        ("value,class\n-1,hair\n", "line 2: the value is '-1'"),
        ("value,class\n1.5,hair\n", "line 2: the value is '1.5'"),
        ("value,class\n7,hair\n9,hat\n7,hat\n", "line 4: the value 7 is also on line 2"),
        ("value,class\n7,hair,1\n", "line 2: 3 fields"),
        ('{"0": "background",\n "7": "hairs"}', "line 2: unknown class 'hairs'.*'hair'"),
        ('{"0": "background",\n "7": "hair",\n "7": "hat"}', "line 3: the value 7 is .* line 2"),
        ('{"0": "background",\n "seven": "hair"}', "line 2: the value is 'seven'"),
        ('{"0": null}', "line 1: '0' is null"),
        ('{"0": "background"', "not valid JSON"),
        (b"value,class\n1,h\xe4t\n", "not UTF-8"),
    ],
)
def test_faults_name_the_line(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        label_map(_file(tmp_path, text))
    assert "map.csv" in error.value.where


def test_neither_a_name_nor_a_file() -> None:
    with pytest.raises(UserError, match=r"unknown label order 'bisnet'.*'bisenet'.*mapping file"):
        label_map("bisnet")
