"""One pass of the denoiser, from attributes and mask to the prediction."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from facecond.benchmarks.contender import Contender, Entries
from facecond.benchmarks.denoisers import (
    Rival,
    check_numerics,
    gigaflops,
    rivals,
    work_done,
)
from facecond.benchmarks.settings import Settings
from facecond.benchmarks.work import Batch, Work, random_batch, work_of


def entries(settings: Settings, case: str) -> Entries:
    """facecond and the peers."""
    work = work_of(case, settings)
    made = rivals(settings, work, training=False)
    return {name: partial(passing, make, name, settings, work) for name, make in made.items()}


def passing(
    make: Callable[[], Rival], name: str, settings: Settings, work: Work, count: int = 0
) -> Contender:
    """A contender whose run is one forward pass without gradients.

    Args:
        count: samples; 0 = the batch of the work.
    """
    rival, count = make(), count or work.batch
    rival.model.eval()
    schedule = work.config.objective.schedule
    probe = random_batch(work, count, -9, settings)

    @torch.no_grad()
    def run(batch: Batch, out: Tensor) -> None:
        out.copy_(rival.forward(batch, schedule))

    return Contender(
        prepare=lambda repeat: random_batch(work, count, repeat, settings),
        run=run,
        shape=(count, *work.latent_shape),
        units=count,
        unit="images",
        work=work_done(rival, work, count),
        facts={"gigaflops": gigaflops(rival, probe, schedule)}
        | check_numerics(rival, probe, schedule, name),
    )
