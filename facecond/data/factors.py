"""`factors.csv` of a prepared folder: which geometry and which appearance each face was drawn with.

Rendered faces alone have it. Ids name a factor within the folder: two faces with the same
geometry id have the same mask, two with the same appearance id look the same but for their shape.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from facecond.data.text_files import read_text
from facecond.errors import UserError, quoted

FACTORS = "factors.csv"
_HEADER = ("name", "geometry", "appearance")


@dataclass(frozen=True)
class Factors:
    """What a face was drawn from.

    Attributes:
        geometry: id of all that moves the mask.
        appearance: id of all that does not.
    """

    geometry: str
    appearance: str


def factor_rows(names: Sequence[str], factors: Mapping[str, Factors]) -> list[tuple[str, ...]]:
    """Rows of factors.csv, the header among them; a name that has none is left out."""
    known = ((name, factors[name]) for name in names if name in factors)
    return [_HEADER, *((name, face.geometry, face.appearance) for name, face in known)]


def read_factors(path: str | Path) -> dict[str, Factors]:
    """Name -> factors.

    Raises:
        UserError: a row of another form; the line is named.
    """
    found = {}
    try:
        rows = list(csv.reader(io.StringIO(read_text(Path(path)), newline="")))
    except csv.Error as error:
        raise UserError(f"not a CSV file ({error})", path, "Prepare the folder anew.") from None
    for line, row in enumerate(rows, 1):
        if (line == 1 and tuple(row) != _HEADER) or len(row) != len(_HEADER) or not all(row):
            fix = f"Write {','.join(_HEADER)}, then a row per face."
            raise UserError(f"{quoted(','.join(row))} is no row of it", f"{path}, line {line}", fix)
        if line > 1:
            found[row[0]] = Factors(row[1], row[2])
    return found
