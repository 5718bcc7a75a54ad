"""How the cost of a pass, or of sampling, grows with one number while all others stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from facecond.benchmarks.contender import Contender, Entries
from facecond.benchmarks.denoisers import OWN, rivals
from facecond.benchmarks.forward import passing
from facecond.benchmarks.sample import EPSILON, own_sampler, sampling
from facecond.benchmarks.settings import Settings
from facecond.benchmarks.work import Work, work_of

BATCH = 2
"""Where the batch is not what grows."""
PARTS = (
    'routing.rules=[{source: "attributes:geometry", layers: "*"},'
    '{source: "attributes:appearance", layers: "*"}, {source: mask, layers: "*"}]'
)


def entries(settings: Settings, case: str) -> Entries:
    """Sizes of what grows, the least first."""
    return {
        "grow-resolution": _resolution, "grow-tokens": _tokens, "grow-sources": _sources,
        "grow-batch": _batch, "grow-steps": _steps,
    }[case](settings)  # fmt: skip


def _resolution(settings: Settings) -> Entries:
    sizes = (64, 128) if settings.quick else (64, 128, 256, 512)
    return {
        f"{size} px": partial(grown, settings, work_of("", settings, image_size=size))
        for size in sizes
    }


def _tokens(settings: Settings) -> Entries:
    works = [
        work_of("", settings, [f"denoiser.mask_grid={grid}"])
        for grid in ((4, 8) if settings.quick else (4, 8, 16, 32))
    ]
    return {f"{work.tokens} tokens": partial(grown, settings, work) for work in works}


def _sources(settings: Settings) -> Entries:
    asked: dict[str, Sequence[str]] = {
        "1 source (attributes)": ["routing.sources=[attributes]"],
        "2 sources (and mask)": [],
        "3 sources (attributes in parts)": [PARTS],
    }
    return {
        name: partial(grown, settings, work_of("", settings, overrides))
        for name, overrides in asked.items()
    }


def _batch(settings: Settings) -> Entries:
    work = work_of("", settings)
    counts = (1, 2) if settings.quick else (1, 4, 16, 64)
    return {f"batch {count}": partial(grown, settings, work, count) for count in counts}


def _steps(settings: Settings) -> Entries:
    work = work_of("", settings, EPSILON)
    counts = (2, 4) if settings.quick else (4, 8, 16, 32)
    return {
        f"{steps} steps": partial(_sampling, settings, replace(work, steps=steps))
        for steps in counts
    }


def grown(settings: Settings, work: Work, count: int = BATCH) -> Contender:
    """A pass of facecond at this size; sizes need not be equal, so they are facts here."""
    make = rivals(settings, work, training=False)[OWN]
    contender = passing(make, OWN, settings, work, count)
    contender.facts = dict(contender.work) | contender.facts
    contender.work = {}
    return contender


def _sampling(settings: Settings, work: Work) -> Contender:
    rival = rivals(settings, work, training=False)[OWN]()
    drawn = sampling(own_sampler(rival, work, settings), work, settings)
    return replace(drawn, facts={"steps": work.steps})
