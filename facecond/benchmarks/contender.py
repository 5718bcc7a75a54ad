"""One way to do the work of a case."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass
class Contender:
    """What runs, on which inputs, and what it has to have written afterwards.

    Attributes:
        prepare: number of the repeat -> its inputs, made before the clock runs.
        run: inputs, `out` -> nothing, or the seconds where it measures them itself. It writes its
            result into `out`, float32 [*shape], which comes filled with NaN.
        shape: of the result.
        units, unit: how much is done in one run (`16`, `images`).
        work: what has to be equal between contenders; `parameters` within a tolerance.
        facts: what else is told about it.
        fresh: other inputs give another result.
        steady: the same inputs give the same result again.
        close: releases what it holds.
    """

    prepare: Callable[[int], Any]
    run: Callable[[Any, Tensor], float | None]
    shape: tuple[int, ...]
    units: float
    unit: str
    work: Mapping[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    fresh: bool = True
    steady: bool = True
    close: Callable[[], None] = lambda: None


Entries = dict[str, Callable[[], Contender]]
"""Contenders by name, unmade: a process that measures one of them makes only that."""
