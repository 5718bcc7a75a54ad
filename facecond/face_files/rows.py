"""Requests from a CSV or JSON Lines file: one face a row."""

from __future__ import annotations

import contextlib
import csv
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from facecond.data.masks import read_mask
from facecond.errors import UserError, nearest, quoted
from facecond.face_files.drawing import FaceRequest
from facecond.labels import ANYTHING, LARGEST_SCALE, check_exclusive, parse_emphasis
from facecond.sampling.guided import WEAKER

COLUMNS = ("name", "attributes", "mask", "seed", "guidance")
KINDS = (".csv", ".jsonl")
RESERVED = ("grid",)
"""Names of pictures that are written beside the faces."""
_NAME = re.compile(r"\w[\w.-]{0,119}")


def read_rows(
    path: Path, size: int, first_seed: int, guidance: Mapping[str, float], parts: tuple[str, ...]
) -> list[FaceRequest]:
    """The requests of a file.

    | column | default | meaning |
    |---|---|---|
    | name | number of the row, from 00000 | of the file that is written |
    | attributes | all open | `Smiling=1.5,-Eyeglasses` |
    | mask | open | label mask, its path from the folder of the rows |
    | seed | `first_seed` + number of the row | |
    | guidance | `guidance` | `mask=2,attributes=3`: scales in place of these, but for `weaker` |

    Args:
        size: of the masks, in pixels.
        guidance: scales of the rows that have none; that of `weaker`, the job's model, is one of
            every row that does not name another.
        parts: what a scale may be given for.

    Raises:
        UserError: a row at fault, with its number in the file (the first row of a CSV file under
            its heading is 1).
    """
    rows = list(_csv(path) if path.suffix.lower() == ".csv" else _json_lines(path))
    if not rows:
        raise UserError("it has no rows", path, "Write one face a row.")
    masks: dict[str, np.ndarray] = {"": np.full((size, size), ANYTHING, np.uint8)}
    seen: dict[str, int] = {}
    requests = []
    for index, row in enumerate(rows):
        try:
            request = _request(row, index, path.parent, size, first_seed, guidance, parts, masks)
            folded = request.name.casefold()  # on some systems, a and A are one file
            if folded in RESERVED:
                fix = "Take another: the contact sheet has this one."
                raise UserError(f"'{request.name}' is taken", "name", fix)
            if folded in seen:
                what = f"row {seen[folded]} has the name '{request.name}' too"
                raise UserError(what, "name", "Give every row a name of its own.")
        except UserError as error:
            raise UserError(
                f"{error.where}: {error.what}", f"{path}, row {index + 1}", error.fix
            ) from None
        seen[folded] = index + 1
        requests.append(request)
    return requests


def _request(
    row: Mapping[str, Any],
    index: int,
    folder: Path,
    size: int,
    first_seed: int,
    guidance: Mapping[str, float],
    parts: tuple[str, ...],
    masks: dict[str, np.ndarray],
) -> FaceRequest:
    for column in row:
        if column not in COLUMNS:
            raise UserError(f"unknown column '{column}'", "columns", nearest(str(column), COLUMNS))
    given = {column: str(row.get(column) or "").strip() for column in COLUMNS if column != "seed"}
    name = given["name"] or f"{index:05d}"
    if not _NAME.fullmatch(name):
        fix = "Use letters, digits, dots, dashes and underscores."
        raise UserError(f"'{name}' is no name of a file", "name", fix)
    attributes, emphasis = parse_emphasis(given["attributes"])
    check_exclusive(attributes)
    if given["mask"] not in masks:
        masks[given["mask"]] = read_mask(folder / given["mask"], size)
    scales = dict(guidance)
    if given["guidance"]:  # the job draws with the weaker model whatever the row says
        weaker = {part: scale for part, scale in guidance.items() if part == WEAKER}
        scales = weaker | read_scales(given["guidance"], parts)
    return FaceRequest(
        name,
        _seed(row.get("seed"), first_seed + index),
        attributes,
        masks[given["mask"]],
        given["mask"] or "open",
        {**scales, **emphasis},
    )


def read_scales(text: str, parts: tuple[str, ...]) -> dict[str, float]:
    """`"mask=2,attributes=3"` -> scales of known parts, from 0 (of a weaker model from 1) to
    `LARGEST_SCALE`."""
    scales: dict[str, float] = {}
    for word in text.split(","):
        part, _, value = (piece.strip() for piece in word.partition("="))
        if part not in parts:
            raise UserError(f"unknown source '{part}'", "guidance", nearest(part, parts))
        if part in scales:
            raise UserError(f"'{part}' is named twice", "guidance", "Name it once.")
        try:
            scales[part] = float(value)
        except ValueError:
            scales[part] = -1.0
        lowest = 1 if part == WEAKER else 0
        if not lowest <= scales[part] <= LARGEST_SCALE:
            fix = f"Write {part}=2: a number from {lowest} to {LARGEST_SCALE:g}."
            raise UserError(f"'{value}' is no scale of '{part}'", "guidance", fix)
    return scales


def _seed(value: Any, default: int) -> int:
    if value is None or str(value).strip() == "":
        return default
    text = str(value).strip()
    if text.isdecimal():
        with contextlib.suppress(ValueError):  # more digits than Python reads
            return int(text)
    raise UserError(f"{quoted(text)} is no seed", "seed", "Use a whole number from 0 up.")


def _csv(path: Path) -> Iterator[dict[str, Any]]:
    with _open(path) as file:
        try:
            reader = csv.DictReader(file, strict=True)
            _check_heading([name.strip() for name in reader.fieldnames or ()], path)
            for number, row in enumerate(reader, 1):
                if None in row:  # where DictReader puts cells beyond the last column
                    fix = "Put quotes around text with commas."
                    raise UserError("it has more cells than there are columns",
                                    f"{path}, row {number}", fix)  # fmt: skip
                yield row
        except (csv.Error, UnicodeDecodeError) as error:
            raise UserError(f"not a CSV file ({error})", path, "Save it as UTF-8 CSV.") from None


def _check_heading(columns: list[str], path: Path) -> None:
    if "" in columns:
        what = f"column {columns.index('') + 1} of its heading has no name"
        raise UserError(what, path, "Remove the comma that is too many, or name the column.")
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"its heading names '{twice}' twice", path, "Name each column once.")


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    with _open(path) as file:
        try:
            lines = file.read().splitlines()
        except UnicodeDecodeError:
            raise UserError("not UTF-8 text", path, "Save it as UTF-8.") from None
    for number, line in enumerate((line for line in lines if line.strip()), 1):
        try:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError
        except (ValueError, RecursionError):
            fix = 'Write {"attributes": "Smiling", "seed": 7}.'
            raise UserError("not a JSON object", f"{path}, row {number}", fix) from None
        yield row


def _open(path: Path) -> Any:
    if path.suffix.lower() not in KINDS:
        raise UserError("not a .csv or .jsonl file", path, "Rename it, or convert it.")
    try:
        return path.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", path, "Check the path.") from None
