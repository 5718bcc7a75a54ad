"""What every probe is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from facecond import metrics
from facecond.data.prepared import PreparedFolder
from facecond.evaluation.conditions import images_of, masks_of, noise_seed
from facecond.evaluation.generation import Arrays, Processes, Requests, Sampler
from facecond.evaluation.judges import Judges
from facecond.evaluation.parts import Parts
from facecond.evaluation.rows import Row, Scored
from facecond.evaluation.verdicts import JUDGE_BATCH
from facecond.labels import ATTRIBUTES, UNSPECIFIED


class TooFew(Exception):
    """There is too little data for a probe; the message says what is missing."""


@dataclass
class Finding:
    """What a probe found: rows for the table, and what the report draws of it."""

    rows: list[Row]
    show: Any = None


@dataclass(frozen=True)
class Probe:
    """A question to a model.

    Attributes:
        measure: run by all processes together; what it measures is kept in the context's parts.
        score: run by the first process when all probes have measured; reads what they kept.
    """

    measure: Callable[[Context], Any]
    score: Callable[[Context], Finding]


@dataclass(frozen=True)
class Amounts:
    """How many faces the probes of a protocol sample.

    Attributes:
        diversity: conditions of the diversity probe; None takes all.
        samples: samples of each of them.
        open: conditions that are asked for in part, with `samples_open` samples each.
        turned: conditions on which each attribute is turned off and on; a multiple of 4.
        swapped: conditions whose mask is exchanged.
        references: conditions that get a reference face; None takes all.
    """

    diversity: int | None = 128
    samples: int = 4
    open: int = 64
    samples_open: int = 6
    turned: int = 24
    swapped: int = 128
    references: int | None = 256


@dataclass
class Context:
    """The parts of an evaluation.

    Attributes:
        judges: one or two; the first one gives the scores.
        rows: rows of the folder that are used as conditions, int64 [n].
        extractor: features beside those of the classifier, or None.
        distance: perceptual distance of the diversity probe (`LpipsDistance`), or None.
        embedding: pictures uint8 [B, S, S, 3] -> vectors [B, D] that tell persons apart, or None:
            the features of the first classifier.
        keep: how many samples to keep as pictures.
        images_out: folder for all samples as PNG, or None.
        mask_only: ask for the mask alone and leave all attributes open.
        scored: the attributes that count, once they are known (`scored_by_judges`).
    """

    pipeline: Any
    folder: PreparedFolder
    judges: Sequence[Judges]
    rows: np.ndarray
    seed: int
    sample: Sampler
    parts: Parts
    extractor: Any = None
    distance: Any = None
    embedding: Any = None
    amounts: Amounts = field(default_factory=Amounts)
    keep: int = 16
    images_out: Path | None = None
    mask_only: bool = False
    scored: Scored | None = None

    @property
    def processes(self) -> Processes:
        return self.sample.processes

    @cached_property
    def partner(self) -> np.ndarray:
        """For each row the place of another one, int64 [n]: the pairing of the floors."""
        return metrics.derangement(len(self.rows), self.seed)

    @cached_property
    def truth(self) -> np.ndarray:
        """Attributes of the rows, int8 [n, 40]; -1 also where a judge does not know the name."""
        return np.where(self.known, self.folder.attributes[self.rows], np.int8(UNSPECIFIED))

    @cached_property
    def known(self) -> np.ndarray:
        """Attributes that all judges know, bool [40]."""
        told = [set(judges.classifier.model.config["attributes"]) for judges in self.judges]
        return np.array([all(name in names for names in told) for name in ATTRIBUTES])

    def requests(self, places: np.ndarray, samples: int = 1) -> Requests:
        """The conditions at these places of `rows`, `samples` faces each."""
        rows = np.repeat(self.rows[places], samples)
        numbers = np.tile(np.arange(samples), len(places))
        asked = self.folder.attributes[rows]
        return Requests(
            attributes=np.full_like(asked, UNSPECIFIED) if self.mask_only else asked,
            masks=lambda part: masks_of(self.folder, rows[part]),
            seeds=[
                noise_seed(self.seed, int(row), int(number))
                for row, number in zip(rows, numbers, strict=True)
            ],
            group=samples,
        )

    def real(
        self, rows: np.ndarray, measure: Callable[[np.ndarray, slice], Arrays], title: str
    ) -> Arrays:
        """Measure the real pictures of these rows: `measure(images u8 [n, S, S, 3], part)`."""

        def work(part: slice) -> Arrays:
            return measure(images_of(self.folder, rows[part]), part)

        return self.processes.share(
            len(rows), JUDGE_BATCH, work, title, progress=self.sample.progress
        )
