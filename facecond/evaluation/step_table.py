"""Quality and time of a model by solver and number of steps, on the same conditions and noise.

Beside the scores stands the *drift*: how far the pictures lie from those of the finest setting, in
grey levels. All solvers of one equation lead there; scores by judges hardly see the way.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from facecond.data.prepared import PreparedFolder
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
from facecond.storage import hash_of

SCORES = ("mask_miou", "attribute_bacc", "frechet_judge")


@dataclass(frozen=True)
class TimedSampler(Sampler):
    """Counts the seconds of sampling, and of the processor, and the calls of the network."""

    spent: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("wall", "cpu"), 0.0))

    def faces(self, requests: Requests, part: slice) -> np.ndarray:
        wall, cpu = time.perf_counter(), time.process_time()
        found = super().faces(requests, part)
        self.spent["wall"] += time.perf_counter() - wall
        self.spent["cpu"] += time.process_time() - cpu
        return found


@dataclass(frozen=True)
class StepTable:
    """What a table is measured of and with; the rows of one table belong together.

    Attributes:
        n: test conditions.
        guidance: scales in place of the model's own.
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

    def __post_init__(self) -> None:
        for name, given in (("schedulers", self.schedulers), ("steps", self.steps)):
            if not given:
                raise UserError("none is named", name, "Name one or more.")

    @property
    def finest(self) -> tuple[str, int]:
        """The setting that drift is measured from: most steps of the first solver."""
        return self.schedulers[0], max(self.steps)

    @cached_property
    def base(self) -> dict[str, Any]:
        """What all rows say, as JSON values, with a hash of it as `identity`."""
        own = self.pipeline.config["guidance"]
        base = {
            "n": self.n, "seed": self.seed, "batch_size": self.batch_size,
            "data": self.folder.data_hash,
            "guidance": dict(own if self.guidance is None else self.guidance),
            "model": weights_hash(self.pipeline), "judges": self.judges.hashes(),
            "finest": list(self.finest), "device": self.pipeline.device.type,
            "precision": self.pipeline.precision, "versions": versions(),
        }  # fmt: skip
        return base | {"identity": hash_of(base)}

    def own(self, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """The rows that belong to this table."""
        return [row for row in rows if row.get("identity") == self.base["identity"]]


def step_rows(
    table: StepTable, known: Sequence[Mapping[str, Any]] = (), progress: bool = True
) -> Iterator[dict[str, Any]]:
    """Measure every solver at every number of steps; the finest setting of the first solver, which
    drift is measured from, comes first.

    Args:
        known: rows of an earlier call; settings measured there are left out.

    Yields:
        scheduler, steps, evaluations (of the network per face, times passes), `SCORES` with their
        ceilings, drift, seconds and CPU seconds per face.

    Raises:
        UserError: sizes that differ, too few test rows, an unknown solver.
    """
    pipeline, folder, judges = table.pipeline, table.folder, table.judges
    check_sizes(folder, sizes_of(pipeline, [judges]))
    rows = condition_rows(folder, table.n, table.seed)
    for name in table.schedulers:
        pipeline.use_scheduler(name)
    processes = Processes()
    parts = Parts(None, table.base["identity"], processes)
    finest = table.finest
    settled = ((name, count) for count in sorted(table.steps) for name in table.schedulers)
    others = [setting for setting in settled if setting != finest]
    done = {(row["scheduler"], row["steps"]) for row in table.own(known)}
    if set(others) <= done and finest in done:
        return
    best: np.ndarray | None = None
    for name, count in [finest, *others]:
        if (name, count) in done and (name, count) != finest:
            continue
        pipeline.use_scheduler(name)
        settings: dict[str, Any] = {"num_inference_steps": count}
        if table.guidance is not None:
            settings["guidance"] = dict(table.guidance)
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
        if (name, count) in done:
            continue
        yield table.base | {
            "scheduler": name,
            "steps": count,
            "calls": len(pipeline.scheduler.timesteps),
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
    head = ["solver", "steps", "calls", "mIoU", "attributes", "Fréchet", "drift"]
    head += ["ms/face", "CPU-ms/face"]
    lines = [f"| {' | '.join(head)} |", "|---|" + "--:|" * (len(head) - 1)]
    for row in sorted(rows, key=lambda row: (order[row["scheduler"]], row["steps"])):
        cells = [
            row["scheduler"], row["steps"], row["calls"], f"{row['mask_miou']:.3f}",
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
