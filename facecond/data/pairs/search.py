"""Finds the pairs of one split: by planted factors where there are any, else all against all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from tqdm import tqdm

from facecond.data.factors import Factors
from facecond.data.pairs.compare import AttributeDistance, MaskOverlap, blocks
from facecond.data.pairs.keeping import KeptPairs
from facecond.data.pairs.persons import Persons
from facecond.data.pairs.rules import PairRules
from facecond.seeding import numpy_generator

MIOUS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75)
"""Mask mIoUs of the tables that help to choose a rule."""
FLIPS = (2, 3, 4, 5, 6)
DISTANCES = (0, 1, 2, 3)

BLOCK = 512
"""Faces of a block: its matrices fit into a core's cache."""


@dataclass
class Found:
    """What a search found.

    Attributes:
        counts: task -> pairs of faces, of which either may be the reference.
        rows: task -> int64 [n, 2]: reference and target, as positions in what was searched.
        tables: task -> how many pairs there would be: `geometry`, int64 [6, 5], at a mask mIoU of
            at least `MIOUS` and at least `FLIPS` differing attributes; `appearance`, int64 [6, 4],
            at a mask mIoU below `MIOUS` and at most `DISTANCES`. Empty for planted factors.
    """

    counts: dict[str, int]
    rows: dict[str, np.ndarray]
    tables: dict[str, np.ndarray] = field(default_factory=dict)


def search_faces(
    masks: np.ndarray, attributes: np.ndarray, persons: Persons, rules: PairRules
) -> Found:
    """Compare all faces with all others.

    Args:
        masks: uint8 [N, P]: small masks, their classes merged or not.
        attributes: int8 [N, A]: those that tell appearances apart.
        persons: of the N faces.
    """
    count = len(masks)
    overlap, distance = MaskOverlap(masks), AttributeDistance(attributes)
    enough = rules.min_stated * attributes.shape[1]
    counts = {"appearance": 0, "geometry": 0, "identity": 0}
    kept = {task: KeptPairs(count, rules.max_pairs) for task in counts}
    tables = {
        "appearance": np.zeros((len(MIOUS) + 1, len(DISTANCES)), np.int64),
        "geometry": np.zeros((len(MIOUS) + 1, FLIPS[-1] + 1), np.int64),
    }
    every = np.arange(count)
    with tqdm(total=count * (count - 1) // 2, desc="pairs", unit="pair", unit_scale=True) as bar:
        for rows, columns in blocks(count, BLOCK):
            miou = overlap.block(rows, columns)
            differing, stated = distance.block(rows, columns)
            alike, one = persons.same(rows, columns, rules.same_person, rules.one_person)
            others = ~alike
            if rows == columns:
                others, one = np.triu(others, 1), np.triu(one, 1)
            comparable = others & (stated >= enough)  # what differs says so by itself
            few, many = differing <= rules.max_appearance_distance, differing >= rules.min_flips
            found = {
                "appearance": comparable & few & (miou < rules.max_mask_miou),
                "geometry": others & many & (miou >= rules.min_mask_miou),
                "identity": one & (miou < rules.max_mask_miou),
            }
            close, near = differing <= DISTANCES[-1], miou >= MIOUS[0]
            _tally(tables["appearance"], miou, differing, comparable & close)
            _tally(tables["geometry"], miou, differing, others & near)
            for task, pairs in found.items():
                counts[task] += int(pairs.sum())
                draw = numpy_generator(rules.seed, "pairs", task, rows.start, columns.start)
                priority = draw.random(pairs.shape, np.float32)
                kept[task].add(every[rows], every[columns], pairs, priority)
                # A pair that is likely to be kept one way is not likely to be kept the other way.
                kept[task].add(every[columns], every[rows], pairs.T, 1 - priority.T)
            size = rows.stop - rows.start
            bar.update(size * (size - 1) // 2 if rows == columns else miou.size)
    at_least = tables["geometry"][::-1].cumsum(0)[::-1][1:]
    below = tables["appearance"].cumsum(0)[:-1]
    return Found(
        counts,
        {task: pairs.rows() for task, pairs in kept.items()},
        {
            "appearance": below.cumsum(1),
            "geometry": at_least[:, ::-1].cumsum(1)[:, ::-1][:, list(FLIPS)],
        },
    )


def search_factors(factors: Sequence[Factors], rules: PairRules) -> Found:
    """Pair faces by the factors they were drawn from, which decide alone: one appearance and two
    geometries, or one geometry and two appearances. Nobody is drawn twice."""
    ids = {
        "appearance": _numbers([face.appearance for face in factors]),
        "geometry": _numbers([face.geometry for face in factors]),
    }
    found = Found({"identity": 0}, {"identity": np.zeros((0, 2), np.int64)})
    for task, other in (("appearance", "geometry"), ("geometry", "appearance")):
        kept, total = KeptPairs(len(factors), rules.max_pairs), 0
        order = np.argsort(ids[task], kind="stable")
        ends = np.flatnonzero(np.diff(ids[task][order])) + 1
        for group in np.split(order, ends) if len(order) else ():
            differs = ids[other][group][:, None] != ids[other][group]
            total += int(differs.sum()) // 2
            draw = numpy_generator(rules.seed, "pairs", task, int(ids[task][group[0]]))
            kept.add(group, group, differs, draw.random(differs.shape, np.float32))
        found.counts[task], found.rows[task] = total, kept.rows()
    return found


def _numbers(ids: Sequence[str]) -> np.ndarray:
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(one, len(numbers)) for one in ids], np.int64)


def _tally(table: np.ndarray, miou: np.ndarray, differing: np.ndarray, counted: np.ndarray) -> None:
    """Add the counted pairs to their cells; what exceeds the last column goes there."""
    rows, columns = np.nonzero(counted)
    level = (miou[rows, columns, None] >= np.array(MIOUS, np.float32)).sum(1)
    column = np.minimum(differing[rows, columns].astype(np.int64), table.shape[1] - 1)
    cell = level * table.shape[1] + column
    table += np.bincount(cell, minlength=table.size).reshape(table.shape)
