"""Rows of finished runs -> one table: variants x metrics, with spreads and differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from facecond.analysis.ablation.draws import image_draws
from facecond.analysis.ablation.plan import Run, done_record, flat
from facecond.analysis.ablation.statistics import (
    Difference,
    Summary,
    compare,
    holm,
    summarise,
)
from facecond.config import Study
from facecond.errors import UserError
from facecond.evaluation.counts import read_counts
from facecond.models.routing import Routing
from facecond.storage import read_json_lines

HEADLINES = (
    "mask_miou", "attribute_bacc", "frechet_judge", "attribute_effect", "off_target_effect",
    "mask_stability", "partial_mask_miou", "partial_attribute_bacc", "open_region_entropy",
    "open_attribute_entropy", "appearance_transfer", "layout_leak", "layout_leak_gain",
    "layout_adherence", "geometry_transfer", "appearance_leak", "appearance_adherence",
    "both_layout", "both_appearance", "identity_leak",
)  # fmt: skip
"""Metrics that come first, in this order; `diversity_*` joins them."""
NOT_OF_THE_MODEL = ("_real", "_reconstruction")
"""Ends of metrics that are the same for all variants: they stand as ceilings."""
SURE = 0.05


@dataclass(frozen=True)
class Finished:
    """A finished run: what it is, what it wrote, and its scores on draws of images.

    Attributes:
        record: content of `done.json`.
        rows: metric -> row, without the rows of groups.
        draws: metric -> [B].
    """

    run: Run
    record: Mapping[str, Any]
    rows: Mapping[str, Mapping[str, Any]]
    draws: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Cell:
    """One variant in one metric.

    Attributes:
        scores: seed -> score.
        floor, ceiling: means over the seeds; None where the metric has none.
        difference: to the reference, over the seeds that both have; None of the reference itself
            and where no seed is shared.
        resampled: whether images were drawn too, or seeds alone.
    """

    variant: str
    metric: str
    better: str
    scores: Mapping[int, float]
    summary: Summary
    floor: float | None
    ceiling: float | None
    difference: Difference | None
    resampled: bool

    @property
    def verdict(self) -> str:
        """In words, by the corrected p."""
        gap = self.difference
        if gap is None:
            return ""
        if not gap.adjusted < SURE:
            return "not shown to differ" if gap.n > 1 else "one seed: cannot be told"
        return "better" if (gap.mean > 0) == (self.better == "higher") else "worse"


@dataclass(frozen=True)
class Table:
    """All that is known of a study: `cells[variant][metric]`, variants in the study's order."""

    study: Study
    runs: Sequence[Finished]
    metrics: Sequence[str]
    cells: Mapping[str, Mapping[str, Cell]]

    @property
    def variants(self) -> list[str]:
        """Names of the variants with a finished run."""
        return list(self.cells)

    @property
    def warnings(self) -> list[str]:
        """What puts the scores in doubt, as the evaluations tell it."""
        told = [w for found in self.runs for row in found.rows.values() for w in _warnings(row)]
        return list(dict.fromkeys(told))

    def of(self, variant: str) -> list[Finished]:
        """The finished runs of a variant, by seed."""
        return [found for found in self.runs if found.run.variant == variant]

    def parameters(self, variant: str) -> tuple[int, str]:
        """Number of parameters, and how it compares with the reference's."""
        count = int(self.of(variant)[0].record["parameters"])
        if self.study.reference not in self.cells or variant == self.study.reference:
            return count, ""
        base = int(self.of(self.study.reference)[0].record["parameters"])
        return count, "equal" if count == base else f"{(count - base) / base:+.1%}"

    def cells_off(self, variant: str) -> str:
        """How the routing leaves cells out: `absent` has no parameters, `off` has them unused."""
        return left_out(self.routing(variant))

    def routing(self, variant: str) -> Routing:
        """The routing that the variant's first run was trained with."""
        found = self.of(variant)[0]
        return Routing.from_dict(found.record["routing"], found.run.name)


def collect(study: Study, runs: Sequence[Run], seed: int = 0) -> Table:
    """Read the finished runs of a study.

    Args:
        study, runs: what was run; unfinished ones are left out.
        seed: of the draws.

    Raises:
        UserError: no run is finished, or runs were scored on different conditions.
    """
    found = [each for run in runs if (each := read_run(run, seed)) is not None]
    if not found:
        raise UserError("no run is finished", study.name, "Run `facecond ablate` first.")
    _check_conditions(found)
    metrics = _order({metric for each in found for metric in each.rows})
    names = [variant.name for variant in study.variants]
    names = [name for name in names if any(each.run.variant == name for each in found)]
    cells = {
        name: {metric: cell for metric in metrics if (cell := _cell(study, found, name, metric))}
        for name in names
    }
    for metric in metrics:
        _correct(cells, metric)
    return Table(study, found, metrics, cells)


def read_run(run: Run, seed: int) -> Finished | None:
    """What a finished run of this config wrote; None of another or an unfinished one."""
    record = done_record(run)
    if record is None or record["config_hash"] != run.config_hash:
        return None
    out = run.folder / "evaluation"
    rows = {
        row["metric"]: row
        for row in read_json_lines(out / "results.jsonl")
        if row["score"] is not None
        and "group" not in row
        and not row["metric"].endswith(NOT_OF_THE_MODEL)
    }
    counts = read_counts(out / "counts.npz")
    draws = {metric: image_draws(counts, metric, seed) for metric in rows}
    return Finished(run, record, rows, {k: v for k, v in draws.items() if v is not None})


def left_out(routing: Routing) -> str:
    """Cells that a routing leaves out, in words."""
    if not routing.sources:
        return "no sources"
    states = [state for row in routing.states() for state in row]
    words = [f"{states.count(state)} {state}" for state in ("absent", "off") if state in states]
    return ", ".join(words) or "all on"


def varied(study: Study) -> list[str]:
    """Dotted keys whose values are not the same in all variants."""
    settings = [flat(variant.config) for variant in study.variants]
    return [key for key in settings[0] if any(s[key] != settings[0][key] for s in settings)]


def learning_curve(run: Run) -> tuple[list[int], list[float]]:
    """Steps and losses that the training logged."""
    file = run.folder / "metrics.jsonl"
    rows = read_json_lines(file) if Path(file).is_file() else []
    kept = [row for row in rows if row.get("loss") is not None]
    return [row["step"] for row in kept], [row["loss"] for row in kept]


def _cell(study: Study, found: Sequence[Finished], name: str, metric: str) -> Cell | None:
    mine = {f.run.seed: f for f in found if f.run.variant == name and metric in f.rows}
    if not mine:
        return None
    base = {f.run.seed: f for f in found if f.run.variant == study.reference and metric in f.rows}
    scores = {seed: float(f.rows[metric]["score"]) for seed, f in mine.items()}
    rows = [f.rows[metric] for f in mine.values()]
    both = [seed for seed in mine if seed in base] if name != study.reference else []
    difference = None
    if both:
        difference = compare(
            [scores[seed] for seed in both],
            [float(base[seed].rows[metric]["score"]) for seed in both],
            _draws([mine[seed] for seed in both], metric),
            _draws([base[seed] for seed in both], metric),
        )
    return Cell(
        variant=name,
        metric=metric,
        better=str(rows[0].get("better", "higher")),
        scores=scores,
        summary=summarise(list(scores.values()), _draws(list(mine.values()), metric)),
        floor=_mean([row.get("floor") for row in rows]),
        ceiling=_mean([row.get("ceiling") for row in rows]),
        difference=difference,
        resampled=all(metric in f.draws for f in mine.values()),
    )


def _warnings(row: Mapping[str, Any]) -> list[str]:
    return list(row.get("warnings", ()))


def _draws(found: Sequence[Finished], metric: str) -> np.ndarray:
    """[seeds, B]; the scores themselves where images cannot be drawn."""
    if all(metric in f.draws for f in found):
        return np.stack([f.draws[metric] for f in found])
    return np.array([[float(f.rows[metric]["score"])] for f in found])


def _correct(cells: dict[str, dict[str, Cell]], metric: str) -> None:
    """Holm's correction over the variants."""
    names = [n for n, row in cells.items() if metric in row and row[metric].difference is not None]
    gaps = [cells[name][metric].difference for name in names]
    adjusted = holm([gap.p for gap in gaps if gap is not None])
    for name, gap, p in zip(names, gaps, adjusted, strict=True):
        if gap is not None:
            changed = replace(gap, adjusted=p)
            cells[name][metric] = replace(cells[name][metric], difference=changed)


def _order(metrics: set[str]) -> list[str]:
    diverse = sorted(metric for metric in metrics if metric.startswith("diversity_"))
    first = [metric for metric in (*HEADLINES, *diverse) if metric in metrics]
    return first + sorted(metrics - set(first))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _check_conditions(found: Sequence[Finished]) -> None:
    """All runs must have been scored alike: differences are paired over images."""
    scored = {each.record["evaluation_hash"]: each.run for each in found}
    if len(scored) > 1:
        first, second = list(scored.values())[:2]
        raise UserError(
            f"{first.name} and {second.name} were scored with different settings",
            second.folder,
            "Run `facecond ablate` without --only: it scores again what is out of date.",
        )
