"""What a sensitivity analysis measures, and how much of it."""

from __future__ import annotations

from dataclasses import dataclass

from facecond.errors import UserError

SCHEMA = "facecond.sensitivity/1"
LEAST_IMAGES = 6
"""Fewer have so few exchanges of swap and sham that chance alone gives p = 2^-n above 0.02."""


@dataclass(frozen=True)
class Options:
    """Amounts of an analysis. The defaults take about a tenth of the time that training a small
    model takes.

    Attributes:
        images: held-out faces on which keys and values are swapped; each is also the other level
            of another one.
        bins: noise levels: tau in [0, 1] is cut into so many bins of equal width.
        settings, masks, seeds: size of the grid whose statistics are recorded.
        steps: sampling steps of the grid, at least one per bin.
        quick: interventions only (`swap`, `contribution`), without the grid.
        seed: of the choice of faces, of the noise and of the nulls.
        batch_size: rows in one pass of the network. Another one gives the same up to rounding.
    """

    images: int = 12
    bins: int = 5
    settings: int = 5
    masks: int = 5
    seeds: int = 4
    steps: int = 8
    quick: bool = False
    seed: int = 0
    batch_size: int = 60

    def check(self) -> None:
        """Raise `UserError` where the amounts cannot give a score."""
        if self.images < LEAST_IMAGES:
            what = f"with {self.images} faces no layer could beat its control"
            raise UserError(what, "--images", f"Ask for {LEAST_IMAGES} or more.")
        if not 1 <= self.bins <= 100:
            raise UserError(f"{self.bins} noise levels", "--bins", "Ask for 1 to 100.")
        if self.quick:
            return
        for name, least in (("settings", 2), ("masks", 2), ("seeds", 2)):
            if (count := getattr(self, name)) < least:
                what = f"a grid of {count} {name} has nothing to compare"
                raise UserError(what, f"--{name}", f"Ask for {least} or more.")
        if self.steps < self.bins:
            what = f"{self.steps} sampling steps do not reach each of {self.bins} noise levels"
            raise UserError(what, "--steps", "Ask for at least as many steps as bins.")

    def tau_bins(self) -> list[tuple[float, float]]:
        """Bins [low, high) of tau, the last one closed."""
        return [(k / self.bins, (k + 1) / self.bins) for k in range(self.bins)]
