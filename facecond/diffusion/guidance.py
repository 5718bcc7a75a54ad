"""Guidance with one scale per condition source, as one pure function.

    guided = full + sum_s (w_s - 1) (full - without_s)

`full` has every source, `without_s` all but s. With every w_s = 1 the result is the jointly
conditioned model. A source with w_s = 1 needs no pass of its own; one with w_s = 0 is dropped
from every pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from facecond.errors import UserError, nearest


@dataclass(frozen=True)
class GuidancePlan:
    """Which passes a set of scales needs.

    Attributes:
        dropped: sources hidden in every pass (scale 0).
        scales: source -> scale, for the sources that need a pass without them.
    """

    dropped: frozenset[str]
    scales: Mapping[str, float]

    @property
    def passes(self) -> list[frozenset[str]]:
        """Sources hidden in each pass; the first is the full one."""
        return [self.dropped, *(self.dropped | {source} for source in self.scales)]


def plan(scales: Mapping[str, float], sources: Sequence[str]) -> GuidancePlan:
    """Passes needed for these scales; a source that is not named has scale 1.

    Raises:
        UserError: an unknown source, or a scale that is negative or not finite.
    """
    for source, scale in scales.items():
        if source not in sources:
            raise UserError(f"unknown source '{source}'", "guidance", nearest(source, sources))
        if not 0 <= scale < float("inf"):
            raise UserError(
                f"scale {scale} of '{source}' is out of range", "guidance", "Use 0 or more."
            )
    dropped = frozenset(s for s in sources if scales.get(s, 1.0) == 0)
    needed = {s: w for s in sources if (w := scales.get(s, 1.0)) not in (0, 1)}
    return GuidancePlan(dropped, needed)


def guide(full: Tensor, without: Mapping[str, Tensor], scales: Mapping[str, float]) -> Tensor:
    """Combine predictions of equal shape; `without[s]` is the prediction that lacks source s."""
    guided = full
    for source, scale in scales.items():
        guided = guided + (scale - 1) * (full - without[source])
    return guided
