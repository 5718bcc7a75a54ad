"""Grids of faces: what each value of an axis changes, all else equal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from facecond.errors import UserError, nearest
from facecond.labels import ABSENT, ATTRIBUTES, PRESENT, UNSPECIFIED, check_exclusive

SEED_COUNT = 6
STATES = {"off": ABSENT, "open": UNSPECIFIED, "on": PRESENT}
MOST_CELLS = 400
LONGEST = 4000
"""Digits of a seed that Python reads."""


@dataclass(frozen=True)
class Cell:
    """What a face of a grid is drawn from.

    Attributes:
        attributes: int8 [40].
        guidance: scale per source or attribute.
    """

    attributes: np.ndarray
    seed: int
    guidance: Mapping[str, float]

    def turned(self, name: str, state: int) -> Cell:
        """With another value of one attribute."""
        attributes = self.attributes.copy()
        attributes[ATTRIBUTES.index(name)] = state
        return replace(self, attributes=attributes)


@dataclass(frozen=True)
class Axis:
    """Values that a row or column runs through.

    Attributes:
        name: `seed`, a source or an attribute.
        values: seeds, scales, or states of an attribute (-1, 0, 1).
        kind: `seed`, `scale` or `state`.
    """

    name: str
    values: tuple[int | float, ...]
    kind: str

    @property
    def labels(self) -> list[str]:
        """What stands beside each row or above each column."""
        if self.kind == "state":
            words = {ABSENT: f"not {self.name}", UNSPECIFIED: f"{self.name} open",
                     PRESENT: self.name}  # fmt: skip
            return [words[int(value)].replace("_", " ") for value in self.values]
        numbers = [str(v) if isinstance(v, int) else f"{v:.15g}" for v in self.values]
        return [f"{self.name.replace('_', ' ')} {number}" for number in numbers]

    def at(self, index: int, cell: Cell) -> Cell:
        """The cell with the value of this axis; an emphasised attribute is present."""
        value = self.values[index]
        if self.kind == "seed":
            return replace(cell, seed=int(value))
        if self.kind == "state":
            return cell.turned(self.name, int(value))
        if self.name in ATTRIBUTES:
            cell = cell.turned(self.name, PRESENT)
        return replace(cell, guidance={**cell.guidance, self.name: value})


def parse_grid(text: str, first_seed: int, sources: Sequence[str]) -> tuple[Axis, Axis]:
    """`"Smiling x mask=0,1,2"` -> rows and columns.

    An axis is `seed` or `seed=1,5,9`; an attribute (off and on), `Smiling=off,open,on`, or
    `Smiling=1,2,3` (its emphasis); a source with scales, `mask=0,1,2,4`.

    Raises:
        UserError: not two axes, an unknown name, values that are none.
    """
    parts = [part.strip() for part in text.split(" x ")]
    if len(parts) != 2 or not all(parts):
        fix = 'Write --grid "Smiling x Male" or "seed x mask=0,1,2".'
        raise UserError(f"'{text}' is not two axes", "--grid", fix)
    rows, columns = (_axis(part, first_seed, sources) for part in parts)
    if rows.name == columns.name:
        raise UserError(f"both axes are '{rows.name}'", "--grid", "Name two.")
    if len(rows.values) * len(columns.values) > MOST_CELLS:
        fix = f"A grid has up to {MOST_CELLS}: take fewer values."
        raise UserError(f"{len(rows.values)} x {len(columns.values)} faces", "--grid", fix)
    return rows, columns


def _axis(text: str, first_seed: int, sources: Sequence[str]) -> Axis:
    name, equals, listed = (part.strip() for part in text.partition("="))
    known = ("seed", *sources, *ATTRIBUTES)
    if name not in known:
        raise UserError(f"unknown axis '{name}'", "--grid", nearest(name, known))
    words = [word.strip() for word in listed.split(",")] if equals else []
    if not words:
        if name == "seed":
            seeds = range(first_seed, first_seed + SEED_COUNT)
            return Axis(name, tuple(seeds), "seed")
        if name in ATTRIBUTES:
            return Axis(name, (ABSENT, PRESENT), "state")
        raise UserError(f"'{name}' has no values", "--grid", f"Write {name}=0,1,2,4.")
    if name in ATTRIBUTES and set(words) <= set(STATES):
        return Axis(name, tuple(STATES[word] for word in words), "state")
    if name == "seed":
        if not all(word.isdecimal() and len(word) <= LONGEST for word in words):
            raise UserError("a seed is a whole number from 0 up", "--grid", "Write seed=1,5,9.")
        return Axis(name, tuple(map(int, words)), "seed")
    return Axis(name, tuple(_number(word, name) for word in words), "scale")


def _number(word: str, name: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        fix = f"Write {name}=0,1,2" + (f" or {name}=off,open,on." if name in ATTRIBUTES else ".")
        raise UserError(f"'{word}' is no value of '{name}'", "--grid", fix)
    return value


def cells_of(rows: Axis, columns: Axis, start: Cell) -> list[Cell]:
    """Cells row by row.

    Raises:
        UserError: one asks for attributes that exclude each other.
    """
    cells = [
        columns.at(c, rows.at(r, start))
        for r in range(len(rows.values))
        for c in range(len(columns.values))
    ]
    for cell in cells:
        check_exclusive(cell.attributes, "--grid")
    return cells


def draw_grid(
    pipeline: Any,
    rows: Axis,
    columns: Axis,
    start: Cell,
    mask: np.ndarray,
    batch_size: int = 32,
    **options: Any,
) -> list[list[np.ndarray]]:
    """Faces uint8 [S, S, 3] by row and column; `options` are those of the pipeline's call."""
    import torch

    cells = cells_of(rows, columns, start)
    faces: list[np.ndarray] = []
    for first in range(0, len(cells), batch_size):
        part = cells[first : first + batch_size]
        scales = {
            name: torch.tensor([float(cell.guidance.get(name, 1.0)) for cell in part])
            for name in dict.fromkeys(name for cell in part for name in cell.guidance)
        }
        faces += list(
            pipeline(
                np.stack([cell.attributes for cell in part]),
                mask,
                [cell.seed for cell in part],
                scales,
                **options,
            ).images
        )
    width = len(columns.values)
    return [faces[i : i + width] for i in range(0, len(faces), width)]
