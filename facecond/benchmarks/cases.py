"""The cases by name, without their modules: what can be asked for is known before torch is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from facecond.errors import UserError, nearest


@dataclass(frozen=True)
class Case:
    """One question.

    Attributes:
        module: in `facecond.benchmarks`; its function `entries(settings, case)` gives the
            contenders by name, unmade. The first one is what ratios are taken to.
        words: what is measured.
        measures_memory: whether each contender is also run alone, in a process of its own.
        in_pairs: the first contender meets the others one at a time: together they would not fit
            into the memory of a small machine.
        in_rounds: contenders take turns. Where they do not, `rows(settings, case)` of the module
            measures in its own way and gives the rows.
        usual: measured also where no case is named.
    """

    module: str
    words: str
    measures_memory: bool = True
    in_pairs: bool = False
    in_rounds: bool = True
    usual: bool = True


CASES: dict[str, Case] = {
    "forward-64": Case("forward", "one pass of the denoiser at CPU size (64 px)"),
    "forward-256": Case("forward", "one pass of the denoiser of celebamaskhq_256"),
    "train-64": Case("train", "forward, backward, optimiser, average at CPU size"),
    "train-256": Case("train", "the same with the denoiser of celebamaskhq_256", in_pairs=True),
    "sample-64": Case("sample", "faces at equal steps, one guided pair, at CPU size"),
    "sample-256": Case("sample", "the same with the denoiser of celebamaskhq_256"),
    "equal-quality": Case("quality", "faces at equal quality, each with its best solver",
                          usual=False),
    "first-stage": Case("first_stage", "pictures to latents and back"),
    "prepare": Case("data_path", "raw CelebAMask-HQ to a prepared folder"),
    "latents": Case("data_path", "batches from the latent cache"),
    "studio": Case("studio", "from the request to 8 faces, as the page asks for them"),
    "studio-soak": Case("soak", "1,000 requests of 8 visitors, served over HTTP",
                        measures_memory=False, in_rounds=False, usual=False),
    "start-up": Case("start_up", "`facecond --help` in a fresh process", measures_memory=False),
    "grow-resolution": Case("growth", "a pass by size of the pictures, 64 to 512 px"),
    "grow-tokens": Case("growth", "a pass by number of mask tokens"),
    "grow-sources": Case("growth", "a pass by number of sources"),
    "grow-batch": Case("growth", "a pass by batch"),
    "grow-steps": Case("growth", "sampling by steps"),
    "grow-cache": Case("data_growth", "a batch by size of the latent cache, 1k to 1M faces"),
    "grow-pairs": Case("data_growth", "the search for pairs, 1k to 1M faces"),
    "grow-processes": Case("processes", "training by number of processes", measures_memory=False),
}  # fmt: skip


def chosen(names: Sequence[str]) -> list[str]:
    """The cases of these names, each once; all the usual ones where none is named.

    Raises:
        UserError: an unknown name, with the nearest.
    """
    for name in names:
        if name not in CASES:
            raise UserError(f"unknown case '{name}'", "facecond benchmark", nearest(name, CASES))
    return list(dict.fromkeys(names)) or [name for name, case in CASES.items() if case.usual]
