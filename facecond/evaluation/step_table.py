"""Quality and time of a model by solver and number of steps, on the same conditions and noise.

Beside the scores stands the *drift*: how far the pictures lie from those of the finest setting, in
grey levels. All solvers of one equation lead there; scores by judges hardly see the way.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from torch import nn

from facecond.data.prepared import PreparedFolder
from facecond.diffusion.shortcut import STEP_COUNTS
from facecond.errors import UserError
from facecond.evaluation.adherence import adherence
from facecond.evaluation.conditions import condition_rows
from facecond.evaluation.configs import check_sizes, sizes_of
from facecond.evaluation.context import Context
from facecond.evaluation.fidelity import fidelity
from facecond.evaluation.generation import Processes, Requests, Sampler
from facecond.evaluation.judges import Judges
from facecond.evaluation.parts import Parts
from facecond.evaluation.survey import real, reference, samples
from facecond.models.weights_hash import weights_hash
from facecond.provenance import versions
from facecond.sampling.few_step import is_distilled, steps_of
from facecond.storage import hash_of

DISTILLED = "distilled"
"""Stands in the place of a solver's name."""
SCORES = ("mask_miou", "attribute_bacc", "frechet_judge")


class Setting(NamedTuple):
    """How faces of a row are sampled: solver, steps, and for how many of them deep features are
    used."""

    scheduler: str
    steps: int
    reuse: int = 1

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """Of a row of a table."""
        return cls(row["scheduler"], row["steps"], row.get("reuse", 1))


@dataclass(frozen=True)
class TimedSampler(Sampler):
    """Counts the seconds of sampling and of the processor, and the passes of the network: rows of
    its batches."""

    spent: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("wall", "cpu", "passes"), 0.0)
    )

    def faces(self, requests: Requests, part: slice) -> np.ndarray:
        def note(network: nn.Module, given: tuple[Any, ...]) -> None:
            self.spent["passes"] += len(given[0])

        hook = self.pipeline.unet.register_forward_pre_hook(note)
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            found = super().faces(requests, part)
        finally:
            hook.remove()
        self.spent["wall"] += time.perf_counter() - wall
        self.spent["cpu"] += time.process_time() - cpu
        return found


@dataclass(frozen=True)
class StepTable:
    """What a table is measured of and with; the rows of one table belong together.

    Attributes:
        n: test conditions.
        guidance: scales in place of the model's own.
        few_step: a model distilled from the pipeline, whose steps stand beside the solvers'.
        reuse: see `FacePipeline` (`feature_reuse`); each with every solver and number of steps.
    """

    pipeline: Any
    folder: PreparedFolder
    judges: Judges
    schedulers: Sequence[str]
    steps: Sequence[int]
    n: int
    seed: int = 0
    guidance: Mapping[str, float] | None = None
    batch_size: int = 32
    few_step: Any = None
    reuse: Sequence[int] = (1,)

    def __post_init__(self) -> None:
        for name in ("schedulers", "steps", "reuse"):
            given = getattr(self, name)
            if not given:
                raise UserError("none is named", name, "Name one or more.")
        if self.few_step is not None and not is_distilled(self.few_step):
            raise UserError("it was not distilled", "few_step", "Name a distilled model.")

    @property
    def settings(self) -> list[Setting]:
        """Of each row: the finest first."""
        orders = product(sorted(self.steps), self.schedulers, sorted(self.reuse))
        solved = [Setting(name, count, reuse) for count, name, reuse in orders if reuse <= count]
        few = STEP_COUNTS if self.few_step is not None else ()
        rest = [setting for setting in solved if setting != self.finest]
        return [self.finest, *rest, *(Setting(DISTILLED, count) for count in few)]

    @property
    def finest(self) -> Setting:
        """What drift is measured from: most steps of the first solver."""
        return Setting(self.schedulers[0], max(self.steps))

    @cached_property
    def base(self) -> dict[str, Any]:
        """What all rows say, as JSON values, with a hash of it as `identity`."""
        own = self.pipeline.config["guidance"]
        base = {
            "n": self.n, "seed": self.seed, "batch_size": self.batch_size,
            "data": self.folder.data_hash,
            "guidance": dict(own if self.guidance is None else self.guidance),
            "model": weights_hash(self.pipeline), "judges": self.judges.hashes(),
            "finest": list(self.finest[:2]), "device": self.pipeline.device.type,
            "precision": self.pipeline.precision, "versions": versions(),
        }  # fmt: skip
        return base | {"identity": hash_of(base)}

    @cached_property
    def student(self) -> str:
        """Hash of the distilled model's weights; empty without one."""
        return "" if self.few_step is None else weights_hash(self.few_step)

    def own(self, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """The rows that belong to this table."""
        mine = [row for row in rows if row.get("identity") == self.base["identity"]]
        return [row for row in mine if row.get("student", self.student) == self.student]


def step_rows(
    table: StepTable, known: Sequence[Mapping[str, Any]] = (), progress: bool = True
) -> Iterator[dict[str, Any]]:
    """Measure every solver at every number of steps, with every reuse of features; the finest
    setting of the first solver, which drift is measured from, comes first.

    Args:
        known: rows of an earlier call; settings measured there are left out.

    Yields:
        scheduler, steps, reuse, passes of the network per face (one whose deep features are reused
        counts too), `SCORES` with their ceilings, drift, seconds and CPU seconds per face.

    Raises:
        UserError: sizes that differ, too few test rows, an unknown solver.
    """
    pipeline, folder, judges = table.pipeline, table.folder, table.judges
    check_sizes(folder, sizes_of(pipeline, [judges]))
    rows = condition_rows(folder, table.n, table.seed)
    for name in table.schedulers:
        pipeline.use_scheduler(name)
    if table.few_step is not None:
        check_sizes(folder, sizes_of(table.few_step, [judges]))
        steps_of(table.few_step, table.base["guidance"], max(STEP_COUNTS), 1)
    processes = Processes()
    parts = Parts(None, table.base["identity"], processes)
    done = set(map(Setting.of, table.own(known)))
    if set(table.settings) <= done:
        return
    best: np.ndarray | None = None
    for setting in table.settings:
        name, count, reuse = setting
        if setting in done and setting != table.finest:
            continue
        pipeline = table.few_step if name == DISTILLED else table.pipeline
        if name != DISTILLED:
            pipeline.use_scheduler(name)
        settings = {"num_inference_steps": count, "guidance": dict(table.base["guidance"])}
        settings |= {"feature_reuse": reuse}
        sampler = TimedSampler(pipeline, table.batch_size, settings, processes, progress)
        parts.made.pop("samples", None)
        context = Context(
            pipeline, folder, [judges], rows, table.seed, sampler, parts, keep=table.n
        )
        real(context)
        reference(context)
        images = samples(context)["shown"].astype(np.float32)
        best = images if best is None else best
        scores = {row["metric"]: row for row in adherence(context).rows + fidelity(context).rows}
        if setting in done:
            continue
        yield table.base | ({"student": table.student} if name == DISTILLED else {}) | {
            "scheduler": name,
            "steps": count,
            "reuse": reuse,
            "passes": sampler.spent["passes"] / table.n,
            **{f"{score}{end}": scores[score][key]
               for score in SCORES for end, key in (("", "score"), ("_ceiling", "ceiling"),
                                                    ("_low", "low"), ("_high", "high"))},
            "drift": float(np.abs(images - best).mean()),
            "seconds": sampler.spent["wall"] / table.n,
            "cpu_seconds": sampler.spent["cpu"] / table.n,
        }  # fmt: skip


def step_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows of one table as Markdown, by solver and steps."""
    order = {name: i for i, name in enumerate(dict.fromkeys(row["scheduler"] for row in rows))}
    head = ["solver", "steps", "reuse", "passes", "mIoU", "attributes", "Fréchet", "drift"]
    head += ["ms/face", "CPU-ms/face"]
    lines = [f"| {' | '.join(head)} |", "|---|" + "--:|" * (len(head) - 1)]

    def place(row: Mapping[str, Any]) -> tuple[int, int, int]:
        name, count, reuse = Setting.of(row)
        return order[name], count, reuse

    for row in sorted(rows, key=place):
        cells = [
            *Setting.of(row), f"{row['passes']:g}", f"{row['mask_miou']:.3f}",
            f"{row['attribute_bacc']:.3f}", f"{row['frechet_judge']:.2f}", f"{row['drift']:.2f}",
            f"{1000 * row['seconds']:.0f}", f"{1000 * row['cpu_seconds']:.0f}",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(map(str, cells))} |")
    if rows:
        told = ", ".join(f"{name} {rows[0][f'{name}_ceiling']:.3f}" for name in SCORES)
        lines.append(f"\nn = {rows[0]['n']}; ceilings: {told}.")
    return "\n".join(lines) + "\n"


def table_path(out: Path) -> Path:
    """Where the rows are kept."""
    return out / "steps.jsonl"
