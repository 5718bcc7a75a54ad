"""The text files that CelebA and CelebAMask-HQ come with, read as they are distributed.

list_attr_celeba.txt, CelebAMask-HQ-attribute-anno.txt   count, 40 names, then `NAME.jpg  -1 1 ...`
CelebA-HQ-to-CelebA-mapping.txt                          `idx orig_idx orig_file`
list_eval_partition.txt                                  `NAME.jpg 0`, 1 or 2
identity_CelebA.txt                                      `NAME.jpg 2880`
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from facecond.data.table import NAME_COLUMNS, bare_name
from facecond.data.text_files import numbered_lines, read_text
from facecond.errors import UserError, nearest
from facecond.labels import ABSENT, ATTRIBUTES, PRESENT

_VALUES = {"1": PRESENT, "-1": ABSENT, "0": ABSENT}
NUMBER = re.compile(r"[0-9]{1,12}")
"""Of rows and ids; more digits are none of them, and cost int() its patience."""
MAPPING_HEADER = ["idx", "orig_idx", "orig_file"]


def read_attributes(path: Path) -> dict[str, np.ndarray]:
    """Attributes by name without suffix, int8 [40], values 1 and 0.

    The 40 columns may stand in any order. Absent is -1, or 0 throughout the file.

    Raises:
        UserError: unreadable, no count, a missing, unknown or repeated column, a ragged row, a
            value that is none, both codings, a repeated name, fewer or more rows than counted.
    """
    lines = numbered_lines(path)
    if not lines or len(lines[0][1]) != 1 or not NUMBER.fullmatch(lines[0][1][0]):
        fix = "Begin with the number of rows, then the names of the 40 attributes."
        raise UserError("does not begin with the number of its rows", f"{path}, line 1", fix)
    count = int(lines[0][1][0])
    columns = _attribute_columns(path, *lines[1]) if len(lines) > 1 else []
    found: dict[str, np.ndarray] = {}
    coded: dict[str, int] = {}
    for line, words in lines[2:]:
        where = f"{path}, line {line}"
        if len(words) != len(columns) + 1:
            what = f"{len(words) - 1} values where {len(columns)} attributes are named"
            raise UserError(what, where, "Give every row one value per attribute.")
        wrong = next((i for i, word in enumerate(words[1:]) if word not in _VALUES), None)
        if wrong is not None:
            what = f"{ATTRIBUTES[columns[wrong]]} is '{words[wrong + 1]}'"
            raise UserError(what, where, "Use 1 and -1, or 1 and 0.")
        for word in {"0", "-1"} & set(words[1:]):
            coded.setdefault(word, line)
        if len(coded) > 1:
            what = f"absent is coded 0 on line {coded['0']} and -1 on line {coded['-1']}"
            raise UserError(what, where, "Use 1 and -1, or 1 and 0, throughout the file.")
        values = np.empty(len(ATTRIBUTES), np.int8)
        values[columns] = [_VALUES[word] for word in words[1:]]
        _enter(found, bare_name(words[0]), values, where)
    if len(found) != count:
        fix = "Copy or download the file again: part of it is missing."
        raise UserError(f"counts {count} rows but has {len(found)}", f"{path}, line 1", fix)
    return found


def read_mapping(path: Path) -> dict[int, str]:
    """CelebA-HQ id -> CelebA's name without suffix, such as 0 -> "119614".

    Raises:
        UserError: unreadable, a row of another form, a repeated id or name, an `orig_idx` that
            does not belong to its `orig_file` (which counts from 1).
    """
    found: dict[int, str] = {}
    taken: dict[str, int] = {}
    for line, words in numbered_lines(path):
        if words == MAPPING_HEADER:
            continue
        where, name = f"{path}, line {line}", bare_name(words[-1])
        if len(words) != len(MAPPING_HEADER) or not all(
            NUMBER.fullmatch(word) for word in (*words[:2], name)
        ):
            fix = f"Write {' '.join(MAPPING_HEADER)}, as 0 119613 119614.jpg."
            raise UserError(f"'{' '.join(words)}' is no row of the mapping", where, fix)
        if int(words[1]) + 1 != int(name):
            what = f"orig_idx {words[1]} does not belong to orig_file {words[2]}"
            raise UserError(what, where, "orig_file is orig_idx + 1: download the file again.")
        if name in taken:
            what = f"{words[2]} is also the origin of id {taken[name]}"
            raise UserError(what, where, "Download the file again.")
        taken[name] = int(words[0])
        _enter(found, int(words[0]), name, where)
    return found


def read_partition(path: Path) -> dict[str, int]:
    """Name without suffix -> part of CelebA: 0 train, 1 validation, 2 test.

    Raises:
        UserError: unreadable, or a row of another form; the line is named.
    """
    found: dict[str, int] = {}
    for where, name, word in _pairs(path):
        if word not in ("0", "1", "2"):
            raise UserError(f"the partition is '{word}'", where, "Use 0, 1 or 2.")
        _enter(found, name, int(word), where)
    return found


def read_identities(path: Path) -> dict[str, str]:
    """Name without suffix -> identity, from lines `NAME ID` or from CSV (`name,identity`).

    Raises:
        UserError: unreadable, or a row of another form; the line is named.
    """
    found: dict[str, str] = {}
    for where, name, identity in _pairs(path):
        _enter(found, name, identity, where)
    if not found:
        raise UserError("names nobody", path, "Write a line NAME ID per image.")
    return found


def _pairs(path: Path) -> Iterator[tuple[str, str, str]]:
    """(where, name without suffix, word) of each row, of two words or two CSV fields."""
    text = read_text(path)
    is_table = "," in text.partition("\n")[0]
    for line, words in _table_rows(path, text) if is_table else numbered_lines(path):
        where = f"{path}, line {line}"
        if len(words) != 2 or not all(words):
            raise UserError(f"{len(words)} words", where, "Write a name and its value.")
        yield where, bare_name(words[0]), words[1]


def _table_rows(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        header = [word.strip() for word in next(reader)]
        if len(header) != 2 or header[0] not in NAME_COLUMNS or header[1] != "identity":
            fix = "Begin with the line name,identity."
            raise UserError(f"the first line is '{','.join(header)}'", f"{path}, line 1", fix)
        for row in reader:
            if row:
                yield reader.line_num, [word.strip() for word in row]
    except csv.Error as error:
        raise UserError(f"not a CSV file ({error})", path, "Write the file anew.") from None


def _enter(found: dict, key: object, value: object, where: str) -> None:
    if key in found:
        raise UserError(f"'{key}' is there twice", where, "Remove one of the two rows.")
    found[key] = value


def _attribute_columns(path: Path, line: int, names: list[str]) -> list[int]:
    """The place in `ATTRIBUTES` of each column."""
    where = f"{path}, line {line}"
    for name in names:
        if name not in ATTRIBUTES:
            raise UserError(f"unknown attribute '{name}'", where, nearest(name, ATTRIBUTES))
        if names.count(name) > 1:
            raise UserError(f"attribute '{name}' is there twice", where, "Remove one of them.")
    if missing := [name for name in ATTRIBUTES if name not in names]:
        what = f"lacks the attribute '{missing[0]}' ({len(missing)} in all)"
        raise UserError(what, where, "Name all 40, in CelebA's words.")
    return [ATTRIBUTES.index(name) for name in names]
