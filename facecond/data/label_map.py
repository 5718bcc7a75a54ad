"""Which class a value in a foreign mask means: a known order by name, or a mapping file.

A mapping file is CSV, `value,class` on the first line and one row per value, or JSON, one object of
`"value": "class"`. Values are 0-255, classes those of `labels.MASK_CLASSES` or `anything` (or 255).
Several values may mean one class.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facecond.data.text_files import read_text
from facecond.errors import UserError, nearest
from facecond.labels import ANYTHING, LABEL_ORDERS, MASK_CLASSES

_ANYTHING_WORDS = ("anything", str(ANYTHING))
_HEADER = ["value", "class"]


@dataclass(frozen=True)
class LabelMap:
    """What the values of a mask mean.

    Attributes:
        name: name of the order, or of the file.
        classes: int16 [256]: value -> 0..18, 255 = anything, -1 = no class.
    """

    name: str
    classes: np.ndarray

    def named(self) -> dict[str, str]:
        """Value -> class name, of the values that have a class."""
        names = {**dict(enumerate(MASK_CLASSES)), ANYTHING: _ANYTHING_WORDS[0]}
        return {str(value): names[int(c)] for value, c in enumerate(self.classes) if c >= 0}


def label_map(order: str) -> LabelMap:
    """A name in `labels.LABEL_ORDERS` or the path of a mapping file -> the map.

    A pixel of value 255 is left open, unless the file says otherwise.

    Raises:
        UserError: no such name or file, or a fault in the file; the line is named.
    """
    if order in LABEL_ORDERS:
        named = enumerate(LABEL_ORDERS[order])
        return LabelMap(order, _table({value: MASK_CLASSES.index(name) for value, name in named}))
    path = Path(order)
    if not path.is_file():
        fix = f"{nearest(order, LABEL_ORDERS)} Or give a mapping file: {','.join(_HEADER)}."
        raise UserError(f"unknown label order '{order}'", "--labels", fix)
    text = read_text(path)
    rows = _json_rows(path, text) if text.lstrip().startswith("{") else _csv_rows(path, text)
    meaning: dict[int, int] = {}
    lines: dict[int, int] = {}
    for line, word, name in rows:
        where = f"{path}, line {line}"
        if not re.fullmatch(r"\d{1,3}", word) or int(word) > ANYTHING:
            raise UserError(f"the value is '{word}'", where, "Give a whole number from 0 to 255.")
        value = int(word)
        if value in lines:
            what = f"the value {value} is also on line {lines[value]}"
            raise UserError(what, where, "Give every value one class.")
        if name not in (*MASK_CLASSES, *_ANYTHING_WORDS):
            fix = nearest(name, (*MASK_CLASSES, _ANYTHING_WORDS[0]))
            raise UserError(f"unknown class '{name}'", where, fix)
        lines[value] = line
        meaning[value] = ANYTHING if name in _ANYTHING_WORDS else MASK_CLASSES.index(name)
    if not meaning:
        raise UserError("names no value", path, "Give a row for every value of the masks.")
    return LabelMap(path.name, _table(meaning))


def _table(meaning: dict[int, int]) -> np.ndarray:
    table = np.full(256, -1, np.int16)
    table[ANYTHING] = ANYTHING
    for value, target in meaning.items():
        table[value] = target
    return table


def _csv_rows(path: Path, text: str) -> Iterator[tuple[int, str, str]]:
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        header = [word.strip() for word in next(reader, [])]
        if header != _HEADER:
            what = f"the first line is '{','.join(header)}'"
            fix = f"Begin with the line {','.join(_HEADER)}."
            raise UserError(what, f"{path}, line 1", fix)
        for row in reader:
            words = [word.strip() for word in row]
            if len(words) not in (0, len(_HEADER)):
                where = f"{path}, line {reader.line_num}"
                raise UserError(f"{len(words)} fields", where, "Write value,class.")
            if words:
                yield reader.line_num, words[0], words[1]
    except csv.Error as error:
        raise UserError(f"not a CSV file ({error})", path, "Write the file anew.") from None


def _json_rows(path: Path, text: str) -> Iterator[tuple[int, str, str]]:
    fix = 'Write one object, {"0": "background", ...}.'
    try:
        # A dict would hide a repeated key.
        pairs = json.loads(text, object_pairs_hook=tuple)
    except (ValueError, RecursionError) as error:
        raise UserError(f"not valid JSON ({error})", path, fix) from None
    if not isinstance(pairs, tuple):
        raise UserError("it is no JSON object", path, fix)
    position = 0
    for key, name in pairs:
        # Keys come in the order of the text, so each is found after the one before it.
        found = re.compile(rf"{re.escape(json.dumps(key))}\s*:").search(text, position)
        position = found.end() if found else position
        line = text.count("\n", 0, position) + 1
        if not isinstance(name, str | int):
            raise UserError(f"'{key}' is {json.dumps(name)}", f"{path}, line {line}", fix)
        yield line, key, str(name)
