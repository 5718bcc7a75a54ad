"""Quality and time of a model by solver and number of steps, on the same conditions and noise.

Beside the scores stands the *drift*: how far the pictures lie from those of the finest setting, in
grey levels. All solvers of one equation lead there; scores by judges hardly see the way.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from facecond.data.prepared import PreparedFolder
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


def step_rows(
    pipeline: Any,
    folder: PreparedFolder,
    judges: Judges,
    schedulers: Sequence[str],
    steps: Sequence[int],
    *,
    n: int,
    seed: int = 0,
    guidance: Mapping[str, float] | None = None,
    batch_size: int = 32,
    known: Sequence[Mapping[str, Any]] = (),
    progress: bool = True,
) -> Iterator[dict[str, Any]]:
    """Measure every solver at every number of steps; the finest setting of the first solver, which
    drift is measured from, comes first.

    Args:
        n: test conditions.
        guidance: scales in place of the model's own.
        known: rows of an earlier call; settings measured there are left out.

    Yields:
        scheduler, steps, evaluations (of the network per face, times passes), `SCORES` with their
        ceilings, drift, seconds and CPU seconds per face.

    Raises:
        UserError: sizes that differ, too few test rows, an unknown solver.
    """
    check_sizes(folder, sizes_of(pipeline, [judges]))
    rows = condition_rows(folder, n, seed)
    for name in schedulers:
        pipeline.use_scheduler(name)
    base = {
        "n": n, "seed": seed, "batch_size": batch_size, "data": folder.data_hash,
        "guidance": dict(pipeline.config["guidance"] if guidance is None else guidance),
        "model": weights_hash(pipeline), "device": pipeline.device.type,
        "precision": pipeline.precision,
    }  # fmt: skip
    identity, processes = hash_of(base), Processes()
    parts = Parts(None, identity, processes)
    finest = schedulers[0], max(steps)
    others = [(name, k) for k in sorted(steps) for name in schedulers if (name, k) != finest]
    done = {(row["scheduler"], row["steps"]) for row in known if row["identity"] == identity}
    if set(others) <= done and finest in done:
        return
    best: np.ndarray | None = None
    for name, count in [finest, *others]:
        if (name, count) in done and (name, count) != finest:
            continue
        pipeline.use_scheduler(name)
        settings: dict[str, Any] = {"num_inference_steps": count}
        if guidance is not None:
            settings["guidance"] = dict(guidance)
        sampler = TimedSampler(pipeline, batch_size, settings, processes, progress)
        parts.made.pop("samples", None)
        context = Context(pipeline, folder, [judges], rows, seed, sampler, parts, keep=n)
        real(context)
        reference(context)
        images = samples(context)["shown"].astype(np.float32)
        best = images if best is None else best
        scores = {row["metric"]: row for row in adherence(context).rows + fidelity(context).rows}
        if (name, count) in done:
            continue
        yield base | {
            "identity": identity,
            "scheduler": name,
            "steps": count,
            "calls": len(pipeline.scheduler.timesteps),
            **{f"{score}{end}": scores[score][key]
               for score in SCORES for end, key in (("", "score"), ("_ceiling", "ceiling"),
                                                    ("_low", "low"), ("_high", "high"))},
            "drift": float(np.abs(images - best).mean()),
            "seconds": sampler.spent["wall"] / n,
            "cpu_seconds": sampler.spent["cpu"] / n,
        }  # fmt: skip


def step_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as a Markdown table, by solver and steps."""
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
