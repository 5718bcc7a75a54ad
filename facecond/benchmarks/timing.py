"""Rounds in which every contender runs once, so that a drift of the machine falls on all alike.

The clock is `torch.utils.benchmark.timer`, which waits for the device before it reads the time; on
a GPU the time is that between two CUDA events. The `Timer` of the same package, pyperf and
pytest-benchmark run one contender to its end before the next, and warm up before every measurement:
what drifts between two contenders becomes a difference of theirs, and a sampling of half a minute
would be done three times for one figure.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import torch
from torch.utils.benchmark import timer

from facecond.benchmarks.checks import poisoned, renewed, written
from facecond.benchmarks.contender import Contender


@dataclass(frozen=True)
class Spread:
    """Median, least and greatest of n figures."""

    n: int
    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of the figures themselves."""
        return cls(len(values), median(values), min(values), max(values))


def ratios(others: Sequence[float], own: Sequence[float]) -> Spread:
    """How many times longer the others took, round by round."""
    return Spread.of([other / mine for other, mine in zip(others, own, strict=True)])


def seconds_of(contender: Contender, given: object, out: torch.Tensor, cuda: bool) -> float:
    """Time of one run."""
    if cuda:
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        begin.record()
        told = contender.run(given, out)
        end.record()
        torch.cuda.synchronize()
        spent = begin.elapsed_time(end) / 1000
    else:
        began = timer()
        told = contender.run(given, out)
        spent = timer() - began
    return float(spent if told is None else told)


def interleaved(
    contenders: Mapping[str, Contender],
    repeats: int,
    cuda: bool = False,
    before: Mapping[str, torch.Tensor] | None = None,
) -> dict[str, list[float]]:
    """Seconds of every contender in each of the rounds, which begin with another one each.

    Every run gets fresh inputs and a result full of NaN; what it wrote is checked after its time
    was taken.

    Args:
        before: results on other inputs, by contender.

    Raises:
        CheckFailed: a result that is unwritten, not finite, or that of the round before.
    """
    names = list(contenders)
    spent: dict[str, list[float]] = {name: [] for name in names}
    last = dict(before or {})
    for number in range(repeats):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            contender = contenders[name]
            given, out = contender.prepare(number), poisoned(contender.shape)
            gc.collect()
            spent[name].append(seconds_of(contender, given, out, cuda))
            written(out, name)
            if contender.fresh:
                renewed(out, last.get(name), name)
            last[name] = out
    return spent
