"""How the cost of data grows from a thousand faces to a million, by simulation."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.benchmark import timer

from facecond.benchmarks.contender import Contender, Entries
from facecond.benchmarks.data_path import reading
from facecond.benchmarks.settings import Settings
from facecond.data.pairs import PairRules
from facecond.data.pairs.build import GRID
from facecond.data.pairs.persons import Persons
from facecond.data.pairs.search import BLOCK, search_faces
from facecond.labels import MASK_CLASSES
from facecond.seeding import numpy_generator

COUNTS = (1_000, 30_000, 1_000_000)
COMPARED = 20
"""Attributes that tell appearances apart, about as many as for CelebA."""
SEARCHED = 4 * BLOCK
"""Faces that are searched in earnest; more are searched block by block alike."""


def entries(settings: Settings, case: str) -> Entries:
    """The cache, or the search for pairs, at each size."""
    counts = (256, 3 * SEARCHED) if settings.quick else COUNTS
    if case == "grow-cache":
        return {f"cache of {count:,}": partial(reading, settings, count) for count in counts}
    return {f"pairs of {count:,}": partial(searching, settings, count) for count in counts}


def blocks_of(count: int) -> int:
    """Blocks that a search of `count` faces goes through."""
    rows = -(-count // BLOCK)
    return rows * (rows + 1) // 2


def searching(settings: Settings, count: int) -> Contender:
    """The search for pairs among `count` faces.

    Beyond `SEARCHED` faces the time is that of so many, times the ratio of the numbers of blocks:
    the work of a block does not depend on how many there are.
    """
    searched = min(count, 2 * BLOCK if settings.quick else SEARCHED)
    scale = blocks_of(count) / blocks_of(searched)
    rules = PairRules()

    def prepare(repeat: int) -> tuple[np.ndarray, np.ndarray]:
        generator = numpy_generator(settings.seed, "pairs", repeat)
        regions = generator.integers(0, len(MASK_CLASSES), (searched, 4, 4), np.uint8)
        masks = regions.repeat(GRID // 4, 1).repeat(GRID // 4, 2).reshape(searched, -1)
        return masks, generator.integers(0, 2, (searched, COMPARED)).astype(np.int8)

    def run(given: tuple[np.ndarray, np.ndarray], out: Tensor) -> float:
        began = timer()
        found = search_faces(*given, Persons("unknown"), rules)
        spent = timer() - began
        tables = np.concatenate([table.ravel() for table in found.tables.values()])
        out.copy_(torch.from_numpy(tables))
        return spent * scale

    cells = 6 * 4 + 6 * 5
    facts: dict[str, Any] = {"searched": searched, "blocks": blocks_of(count)}
    if scale > 1:
        facts["scaled_by"] = round(scale, 1)
    return Contender(prepare, run, (cells,), count, "faces", facts=facts, fresh=False)
