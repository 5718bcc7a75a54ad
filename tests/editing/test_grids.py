"""Axes of a grid: what they mean, and what each cell is drawn from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from facecond.editing.grids import Cell, cells_of, draw_grid, parse_grid
from facecond.errors import UserError
from facecond.labels import ATTRIBUTES, parse_attributes

SOURCES = ("attributes", "mask")
SMILING, MALE = ATTRIBUTES.index("Smiling"), ATTRIBUTES.index("Male")


def start() -> Cell:
    return Cell(parse_attributes("Young"), 5, {"mask": 2.0})


def test_attributes_scales_and_seeds() -> None:
    rows, columns = parse_grid("Smiling x Male=off,open,on", 0, SOURCES)
    assert rows.labels == ["not Smiling", "Smiling"]
    assert columns.labels == ["not Male", "Male open", "Male"]
    cell = columns.at(0, rows.at(1, start()))
    assert (cell.attributes[SMILING], cell.attributes[MALE]) == (1, 0)
    assert cell.attributes[ATTRIBUTES.index("Young")] == 1 and cell.seed == 5
    rows, columns = parse_grid("Smiling=1,2.5 x mask=0,4", 0, SOURCES)
    cell = columns.at(1, rows.at(1, start()))
    assert cell.attributes[SMILING] == 1 and cell.guidance == {"mask": 4.0, "Smiling": 2.5}
    rows, columns = parse_grid("seed x seed=3".replace("x seed=3", "x Male"), 7, SOURCES)
    assert rows.values == (7, 8, 9, 10, 11, 12) and rows.at(2, start()).seed == 9


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Smiling", "not two axes"),
        ("Smiling x Smiling=1,2", "both axes"),
        ("Smilling x Male", "Did you mean 'Smiling'"),
        ("mask x Male", "has no values"),
        ("Smiling=on,2 x Male", "no value of 'Smiling'"),
        ("seed=1.5 x Male", "whole number"),
        ("seed=-1 x Male", "whole number from 0 up"),
        ("seed=" + "9" * 5000 + " x Male", "whole number from 0 up"),
        ("mask=-1 x Male", "no value of 'mask'"),
        ("seed=" + ",".join(map(str, range(201))) + " x Male", "402|201 x 2 faces"),
    ],
)
def test_bad_grids(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_grid(text, 0, SOURCES)


def test_cells_keep_their_places_in_any_batch() -> None:
    seen: list[tuple[int, float]] = []

    def pipeline(attributes: Any, mask: Any, seeds: Any, guidance: Any, **_: Any) -> Any:
        class Drawn:
            images = np.stack([np.full((2, 2, 3), seed, np.uint8) for seed in seeds])

        seen.extend(zip(seeds, guidance["mask"].tolist(), strict=True))
        return Drawn

    rows, columns = parse_grid("seed=1,2,3 x mask=0,4", 0, SOURCES)
    faces = draw_grid(pipeline, rows, columns, start(), np.zeros((2, 2)), batch_size=4)
    assert [[int(face[0, 0, 0]) for face in row] for row in faces] == [[1, 1], [2, 2], [3, 3]]
    assert seen == [(1, 0), (1, 4), (2, 0), (2, 4), (3, 0), (3, 4)]


def test_seeds_and_labels_keep_every_digit() -> None:
    seeds = (1234567, 1234568, 2**63 + 1)
    rows, columns = parse_grid(f"seed={','.join(map(str, seeds))} x mask=0.1,1234567", 0, SOURCES)
    assert rows.values == seeds and [rows.at(i, start()).seed for i in range(3)] == list(seeds)
    assert rows.labels == [f"seed {seed}" for seed in seeds]
    assert columns.labels == ["mask 0.1", "mask 1234567"]


@pytest.mark.parametrize("text", ["Black_Hair x Blond_Hair", "Blond_Hair=1,2 x Bald=off,on"])
def test_cells_that_contradict_themselves_are_refused(text: str) -> None:
    rows, columns = parse_grid(text, 0, SOURCES)
    with pytest.raises(UserError, match=r"--grid: .* exclude each other"):
        cells_of(rows, columns, start())
