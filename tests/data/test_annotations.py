"""The annotation files in the form in which they are distributed, and what goes wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from facecond.data.annotations import (
    read_attributes,
    read_identities,
    read_mapping,
    read_partition,
)
from facecond.errors import UserError
from facecond.labels import ATTRIBUTES

ROWS = np.random.default_rng(0).integers(0, 2, (3, 40))


def _words(row: np.ndarray, absent: str = "-1") -> str:
    return " ".join("1" if value else absent for value in row)


def _attribute_text(absent: str = "-1") -> str:
    rows = [f"{index}.jpg  {_words(row, absent)}" for index, row in enumerate(ROWS)]
    return "\n".join(["3", " ".join(ATTRIBUTES), *rows]) + "\n"


TEXT = _attribute_text()
MAPPING = "0          119613     119614.jpg\n1          99094      099095.jpg\n"
PARTITION = "000001.jpg 0\n162771.jpg 1\n182638.jpg 2\n"
IDENTITIES = "000001.jpg 2880\n000002.jpg 2937\n000003.jpg 2880\n"


def _read(reader: Callable, folder: Path, text: str | bytes):
    path = folder / "file.txt"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return reader(path)


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        TEXT.replace("\n", "\r\n"),
        TEXT.encode("utf-8-sig"),
        TEXT.replace("  ", "\t").replace("Young\n", "Young \n"),
        _attribute_text("0"),
    ],
    ids=["distributed", "CRLF", "BOM", "spaces", "0/1"],
)
def test_attributes(tmp_path: Path, text: str | bytes) -> None:
    found = _read(read_attributes, tmp_path, text)
    assert list(found) == ["0", "1", "2"] and found["0"].dtype == np.int8
    np.testing.assert_array_equal(np.stack(list(found.values())), ROWS)


def test_attributes_go_by_the_names_of_the_columns(tmp_path: Path) -> None:
    order = np.random.default_rng(1).permutation(40)
    lines = [" ".join(ATTRIBUTES[i] for i in order), f"0.jpg {_words(ROWS[0][order])}"]
    found = _read(read_attributes, tmp_path, "\n".join(["1", *lines]))
    np.testing.assert_array_equal(found["0"], ROWS[0])


HEADER, FIRST = TEXT.splitlines()[1:3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: does not begin with the number"),
        (TEXT.partition("\n")[2], "line 1: does not begin with the number"),
        ("3\n", r"counts 3 rows but has 0"),
        (f"3\n{FIRST}\n", r"line 2: unknown attribute '0\.jpg'"),
        (TEXT.replace(" Bald", ""), "line 2: lacks the attribute 'Bald' .1 in all"),
        (TEXT.replace(" Bald", " Balt"), "line 2: unknown attribute 'Balt'.*'Bald'"),
        (TEXT.replace(" Young", " Young Tall"), "line 2: unknown attribute 'Tall'"),
        (TEXT.replace(" Young", " Young Bald"), "line 2: attribute 'Bald' is there twice"),
        (TEXT.replace(FIRST, FIRST + " 1"), "line 3: 41 values where 40"),
        (TEXT.replace(FIRST, FIRST[:-3]), "line 3: 39 values where 40"),
        (TEXT.replace(FIRST, FIRST[:-2].rstrip("-") + " 2"), "line 3: Young is '2'"),
        (TEXT.replace(_words(ROWS[2]), _words(ROWS[2], "0")), "0 on line 5 and -1 on line 3"),
        (TEXT.replace("2.jpg", "1.jpg"), "line 5: '1' is there twice"),
        (TEXT.rpartition("2.jpg")[0], "line 1: counts 3 rows but has 2"),
        (TEXT.encode("utf-16"), "not UTF-8"),
    ],
)
def test_faults_of_attributes_name_the_line(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    with pytest.raises(UserError, match=message) as error:
        _read(read_attributes, tmp_path, text)
    assert "file.txt" in error.value.where


@pytest.mark.parametrize("head", ["", "idx        orig_idx   orig_file\n", "\ufeff"])
def test_mapping_with_and_without_its_header(tmp_path: Path, head: str) -> None:
    expected = {0: "119614", 1: "099095"}
    assert _read(read_mapping, tmp_path, head + MAPPING) == expected
    assert _read(read_mapping, tmp_path, (head + MAPPING).replace("\n", "\r\n")) == expected


def test_partition_and_identities(tmp_path: Path) -> None:
    found = _read(read_partition, tmp_path, PARTITION)
    assert found == {"000001": 0, "162771": 1, "182638": 2}
    expected = {"000001": "2880", "000002": "2937", "000003": "2880"}
    table = "name,identity\n" + IDENTITIES.replace(" ", ",")
    for text in (IDENTITIES, table, table.replace("\n", "\r\n").encode("utf-8-sig")):
        assert _read(read_identities, tmp_path, text) == expected


@pytest.mark.parametrize(
    ("reader", "text", "message"),
    [
        (read_mapping, MAPPING + "2 5\n", "line 3: '2 5' is no row"),
        (read_mapping, MAPPING + "2 x 000006.jpg\n", "line 3: '2 x 000006.jpg' is no row"),
        (read_mapping, MAPPING + "2 5 000005.jpg\n", "line 3: orig_idx 5 does not belong"),
        (read_mapping, MAPPING + "1 5 000006.jpg\n", "line 3: '1' is there twice"),
        (read_mapping, MAPPING + "2 119613 119614.jpg\n", "line 3: .* also the origin of id 0"),
        (read_partition, PARTITION + "000002.jpg 3\n", "line 4: the partition is '3'"),
        (read_partition, PARTITION + "000001.jpg 0\n", "line 4: '000001' is there twice"),
        (read_identities, IDENTITIES + "000004.jpg\n", "line 4: 1 words"),
        (read_identities, IDENTITIES + "000001.jpg 5\n", "line 4: '000001' is there twice"),
        (read_identities, "", "names nobody"),
        (read_identities, "a,1\nb,2\n", "line 1: the first line is 'a,1'.*name,identity"),
        (read_identities, "name,identity\na,1\nb\n", "line 3: 1 words"),
        (read_identities, "name,identity\na,1\nb,\n", "line 3: 2 words"),
    ],
)
def test_faults_of_the_others_name_the_line(
    tmp_path: Path, reader: Callable, text: str, message: str
) -> None:
    with pytest.raises(UserError, match=message) as error:
        _read(reader, tmp_path, text)
    assert "file.txt" in error.value.where


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.txt: cannot be read"):
        read_identities(tmp_path / "none.txt")
