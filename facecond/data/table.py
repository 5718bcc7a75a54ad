"""The table beside foreign images: names, 40 attributes with gaps, identities, splits."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from facecond.data.text_files import read_text
from facecond.errors import UserError, nearest
from facecond.labels import ABSENT, ATTRIBUTES, PRESENT, UNSPECIFIED

IMAGE_SUFFIXES: tuple[str, ...] = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")

NAME_COLUMNS = ("name", "image_id", "filename", "image")
EXTRA_COLUMNS = ("identity", "split", "celebahq_id", "partition")
VALUES = {
    "": UNSPECIFIED, "nan": UNSPECIFIED, "1": PRESENT, "1.0": PRESENT, "+1": PRESENT,
    "0": ABSENT, "0.0": ABSENT, "-1": ABSENT, "-1.0": ABSENT,
}  # fmt: skip
SPLIT_WORDS = {
    "generator": "generator", "judges": "judges", "test": "test",
    "train": "generator", "val": "judges", "0": "generator", "1": "judges", "2": "test",
}  # fmt: skip


@dataclass
class FaceTable:
    """What a table says about each name.

    Attributes:
        path: the file, or None when there is none.
        columns: how many of the 40 attributes have a column.
        attributes: name -> int8 [40]; 1 present, 0 absent, -1 unspecified.
        identities: name -> identity; empty without an `identity` column.
        splits: name -> generator, judges or test; empty without a `split` column.
        lines: name -> line number in the file.
    """

    path: Path | None = None
    columns: int = 0
    attributes: dict[str, np.ndarray] = field(default_factory=dict)
    identities: dict[str, str] = field(default_factory=dict)
    splits: dict[str, str] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)


def find_table(root: Path) -> Path | None:
    """`attributes.csv` of a folder, or its only .csv file, or None when it has no .csv file."""
    tables = sorted(root.glob("*.csv"))
    if root / "attributes.csv" in tables:
        return root / "attributes.csv"
    if len(tables) > 1:
        what = f"has {len(tables)} .csv files: {', '.join(path.name for path in tables)}"
        raise UserError(what, root, "Name the one with the attributes attributes.csv.")
    return tables[0] if tables else None


def read_table(path: Path) -> FaceTable:
    """Read a CSV file: a name column, columns named as the 40 attributes, known extra columns.

    Values are 1 / -1 (CelebA's coding) or 1 / 0, and empty where unspecified; an attribute
    without a column is unspecified throughout. A byte order mark and CRLF are fine.

    Raises:
        UserError: unknown or repeated column, repeated name, ragged row, a value that is none, or
            0 and -1 in one file; the line is named.
    """
    reader = csv.reader(io.StringIO(read_text(path), newline=""))
    try:
        header = [word.strip() for word in next(reader, [])]
        rows = [(reader.line_num, [word.strip() for word in row]) for row in reader if row]
    except csv.Error as error:
        raise UserError(f"not a CSV file ({error})", path, "Write the file anew.") from None
    name_column = _check_header(path, header)
    table = FaceTable(path, len(set(header) & set(ATTRIBUTES)))
    attribute_columns = [(i, ATTRIBUTES.index(c)) for i, c in enumerate(header) if c in ATTRIBUTES]
    zero_line = minus_line = None
    for line, row in rows:
        where = f"{path}, line {line}"
        if len(row) != len(header):
            what = f"{len(row)} fields where the header has {len(header)}"
            raise UserError(what, where, "Give every row one field per column.")
        name = bare_name(row[name_column])
        if not name or name in table.lines:
            what = f"name '{name}' is also on line {table.lines[name]}" if name else "no name"
            raise UserError(what, where, "Give every row a name of its own.")
        values = np.full(len(ATTRIBUTES), UNSPECIFIED, np.int8)
        for column, attribute in attribute_columns:
            word = row[column]
            if word.lower() not in VALUES:
                fix = "Use 1 and -1, or 1 and 0, or nothing where it is not known."
                raise UserError(f"{header[column]} is '{word}'", where, fix)
            values[attribute] = VALUES[word.lower()]
            zero_line = zero_line or (line if word in ("0", "0.0") else None)
            minus_line = minus_line or (line if word in ("-1", "-1.0") else None)
        if zero_line and minus_line:
            what = f"absent is coded 0 on line {zero_line} and -1 on line {minus_line}"
            raise UserError(what, where, "Use 1 and -1, or 1 and 0, throughout the file.")
        table.attributes[name], table.lines[name] = values, line
        if "identity" in header:
            table.identities[name] = row[header.index("identity")]
        if "split" in header:
            word = row[header.index("split")]
            if word not in SPLIT_WORDS:
                raise UserError(f"unknown split '{word}'", where, nearest(word, SPLIT_WORDS))
            table.splits[name] = SPLIT_WORDS[word]
    return table


def _check_header(path: Path, header: list[str]) -> int:
    """Check the columns; returns the one with the names."""
    if not header:
        fix = f"Begin with a header: name,{ATTRIBUTES[0]},..."
        raise UserError("the table is empty", path, fix)
    name_column = next((header.index(c) for c in NAME_COLUMNS if c in header), None)
    if name_column is None:
        fix = f"Add a column '{NAME_COLUMNS[0]}' with the image names."
        raise UserError(f"no name column among: {', '.join(header[:6])}", path, fix)
    for column, title in enumerate(header):
        if header.index(title) != column:
            raise UserError(f"column '{title}' appears twice", path, "Remove one of them.")
        if column != name_column and title not in (*ATTRIBUTES, *EXTRA_COLUMNS):
            fix = nearest(title, (*ATTRIBUTES, *EXTRA_COLUMNS))
            raise UserError(f"unknown column '{title}'", path, fix)
    return name_column


def bare_name(text: str) -> str:
    """The name without the suffix of an image file, if it has one."""
    path = Path(text)
    return text[: -len(path.suffix)] if path.suffix.lower() in IMAGE_SUFFIXES else text
