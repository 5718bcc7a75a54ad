"""What must hold before a time counts: the same work, nothing skipped, equal answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from facecond.benchmarks.contender import Contender

PARAMETER_TOLERANCE = 0.02


class CheckFailed(Exception):
    """The comparison would not be fair, or a result is wrong; the message says in what."""


def same_work(work: Mapping[str, Mapping[str, Any]]) -> str:
    """Check that contenders do the same work; says so in a line.

    Args:
        work: contender -> key -> value. Values of a key that several contenders have must be
            equal, `parameters` within `PARAMETER_TOLERANCE` of the first one's.

    Raises:
        CheckFailed: they differ.
    """
    told: dict[str, Any] = {}
    widest = 0.0
    for name, own in work.items():
        for key, value in own.items():
            first = told.setdefault(key, value)
            if key == "parameters":
                apart = abs(value - first) / first
                widest = max(widest, apart)
                if apart > PARAMETER_TOLERANCE:
                    raise CheckFailed(
                        f"{name} has {value:,} parameters, {apart:.1%} apart from {first:,}; "
                        f"{PARAMETER_TOLERANCE:.0%} are allowed"
                    )
            elif value != first:
                raise CheckFailed(f"{name} has {key} {value}, the first one {first}")
    parts = [f"{key} {value:,}" if key == "parameters" else f"{key} {value}"
             for key, value in told.items()]  # fmt: skip
    if "parameters" in told and len(work) > 1:
        parts.append(f"parameters at most {widest:.2%} apart")
    return ", ".join(parts)


def poisoned(shape: tuple[int, ...]) -> Tensor:
    """A result that nobody has written yet: NaN everywhere."""
    return torch.full(shape, torch.nan)


def written(out: Tensor, name: str) -> None:
    """Raise `CheckFailed` unless every value of a result was written and is finite."""
    if not bool(torch.isfinite(out).all()):
        share = float((~torch.isfinite(out)).float().mean())
        raise CheckFailed(f"{name} left {share:.0%} of its result unwritten or not finite")


def renewed(out: Tensor, before: Tensor | None, name: str) -> None:
    """Raise `CheckFailed` where other inputs gave the very same result: it was not computed."""
    if before is not None and torch.equal(out, before):
        raise CheckFailed(f"{name} gave the same result for other inputs: nothing was computed")


def agree(first: Tensor, second: Tensor, tolerance: float, what: str) -> float:
    """Check that two results are equal but for rounding.

    Args:
        tolerance: of the root mean square difference, relative to that of `first`.

    Returns:
        The relative difference.

    Raises:
        CheckFailed: they differ by more, or in shape.
    """
    if first.shape != second.shape:
        raise CheckFailed(f"{what}: shapes {tuple(first.shape)} and {tuple(second.shape)}")
    first, second = first.double(), second.double()
    apart = float((first - second).square().mean().sqrt() / first.square().mean().sqrt())
    if not apart <= tolerance:
        raise CheckFailed(f"{what}: {apart:.2g} apart, {tolerance:g} allowed")
    return apart


def verify(name: str, contender: Contender) -> Tensor:
    """Run a contender twice on the same inputs, which also warms it up.

    Returns:
        The result, which that of the first round must differ from.

    Raises:
        CheckFailed: something is unwritten, or not repeatable.
    """
    results = []
    for _ in range(2):
        out = poisoned(contender.shape)
        contender.run(contender.prepare(-1), out)
        written(out, name)
        results.append(out)
    if contender.steady:
        agree(results[0], results[1], 1e-5, f"{name} on the same inputs again")
    return results[1]
