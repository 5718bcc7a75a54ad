"""Rows of a file -> requests; a bad row is named before any work is done."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from facecond.data.masks import mask_png
from facecond.errors import UserError
from facecond.face_files.drawing import FaceRequest
from facecond.face_files.rows import read_rows
from facecond.labels import parse_attributes
from facecond.sampling.guided import WEAKER
from facecond.sampling.passes import GUIDED

HEAD = "name,attributes,mask,seed,guidance\n"


def rows(tmp_path: Path, text: str, kind: str = "csv") -> list[FaceRequest]:
    path = tmp_path / f"rows.{kind}"
    path.write_text(text)
    return read_rows(path, 32, 100, {"mask": 2.0}, (*GUIDED, WEAKER))


def test_csv_and_json_lines_say_the_same(tmp_path: Path) -> None:
    mask = np.random.default_rng(0).integers(0, 19, (32, 32)).astype(np.uint8)
    (tmp_path / "m.png").write_bytes(mask_png(mask))
    table = HEAD + 'anna,"Smiling=1.5,-Male",m.png,7,"mask=3,attributes=0"\n,,,,\n'
    lines = [
        {"name": "anna", "attributes": "Smiling=1.5,-Male", "mask": "m.png", "seed": 7,
         "guidance": "mask=3,attributes=0"},
        {},
    ]  # fmt: skip
    for given in (
        rows(tmp_path, table),
        rows(tmp_path, "\n".join(map(json.dumps, lines)), "jsonl"),
    ):
        first, second = given
        assert (first.name, first.seed, first.mask_name) == ("anna", 7, "m.png")
        assert np.array_equal(first.attributes, parse_attributes("Smiling,-Male"))
        assert np.array_equal(first.mask, mask)
        assert first.guidance == {"mask": 3.0, "attributes": 0.0, "Smiling": 1.5}
        assert (second.name, second.seed, second.mask_name) == ("00001", 101, "open")
        assert (second.mask == 255).all() and second.guidance == {"mask": 2.0}


def test_the_weaker_model_of_the_job_is_every_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(HEAD + 'a,,,,mask=3\nb,,,,"mask=3,weaker=1.2"\nc,,,,\n')
    found = read_rows(path, 32, 0, {"attributes": 2.0, "weaker": 1.5}, (*GUIDED, WEAKER))
    assert [one.guidance for one in found] == [
        {"mask": 3.0, "weaker": 1.5}, {"mask": 3.0, "weaker": 1.2},
        {"attributes": 2.0, "weaker": 1.5},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            HEAD + "a,Smilling,,,\n",
            r"rows\.csv, row 1: attributes: unknown.*Did you mean 'Smiling'",
        ),
        (HEAD + "a,,,,\nb,,gone.png,,\n", r"row 2: .*gone\.png"),
        (HEAD + "a,,,,\na,,,,\n", "row 2: name: row 1 has the name 'a' too"),
        (HEAD + "a,,,,\nA,,,,\n", "row 2: name: row 1 has the name 'A' too"),
        (HEAD + "Grid,,,,\n", "row 1: name: 'Grid' is taken.*contact sheet"),
        (HEAD + "../a,,,,\n", "no name of a file"),
        (HEAD + "a,,,-3,\n", "row 1: seed: '-3' is no seed"),
        (HEAD + "a,,,,masks=2\n", "Did you mean 'mask'"),
        (HEAD + "a,,,,mask=-2\n", "no scale of 'mask'"),
        (HEAD + 'a,,,,"mask=2,mask=3"\n', "row 1: guidance: 'mask' is named twice"),
        (HEAD + "a,,,,weaker=0\n", "no scale of 'weaker'.*from 1 to 100"),
        (HEAD + "a,,,,mask=1e30\n", "'1e30' is no scale of 'mask'.*from 0 to 100"),
        (HEAD + "a,,,,mask=nan\n", "'nan' is no scale of 'mask'"),
        (HEAD + "a,Smiling=101,,,\n", "row 1: attributes: '101' is no scale.*from 0 to 100"),
        (HEAD + f"a,,,{'9' * 5000},\n", r"row 1: seed: '9{1,40}\.\.\.9{1,40}' is no seed"),
        (HEAD + 'a,"Bald,Bangs,Blond_Hair",,,\n', "row 1: attributes: Blond_Hair and Bald exclude"),
        (HEAD + "a,Smiling,Male,,,\n", "row 1: it has more cells"),
        ("name,attributes,\na,Smiling,\n", "column 3 of its heading has no name.*comma"),
        ("name,seed,seed\na,1,2\n", "its heading names 'seed' twice"),
        ("nom,attributes\na,Smiling\n", "unknown column 'nom'.*name"),
        (HEAD, "has no rows"),
    ],
)
def test_bad_rows(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        rows(tmp_path, text)


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"row 2: not a JSON object"):
        rows(tmp_path, '{"seed": 1}\n[1]\n', "jsonl")
    with pytest.raises(UserError, match=r"not a \.csv or \.jsonl"):
        rows(tmp_path, "", "txt")
    with pytest.raises(UserError, match="cannot be read"):
        read_rows(tmp_path / "gone.csv", 32, 0, {}, GUIDED)
