"""A study's table as plain text: for Markdown, CSV, the terminal and the page."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence

from facecond.analysis.ablation.statistics import least_sign_p
from facecond.analysis.ablation.table import HEADLINES, Cell, Table
from facecond.evaluation.tables import meaning, number
from facecond.metrics.intervals import Interval

MARKS = "▲ better, ▼ worse than the base (p < 0.05 after Holm's correction)."
Text = tuple[list[str], list[list[str]]]
"""Head, and rows as text."""


def overview(table: Table) -> Text:
    """A line for each variant: parameters, and mean ± standard deviation of the main metrics, with
    ▲ or ▼ where it is better or worse than the reference for sure."""
    metrics = headlines(table)
    head = ["variant", "n", "parameters", "to the base", "cells left out", *metrics]
    body = []
    for name in table.variants:
        count, against = table.parameters(name)
        row = [_marked(table, name), str(len(table.of(name))), f"{count / 1e6:.3f} M"]
        row += [against or "–", table.cells_off(name)]
        for metric in metrics:
            cell = table.cells[name].get(metric)
            row.append("–" if cell is None else spread(cell) + _star(cell))
        body.append(row)
    return head, body


def overview_text(table: Table) -> str:
    """The same for the terminal."""
    return _markdown(overview(table))


def scores(table: Table, metric: str) -> Text:
    """A line for each variant in one metric."""
    head = ["variant", "mean ± sd", "n", "95%, seeds and images", "95%, seeds (t)", "floor",
            "ceiling"]  # fmt: skip
    body = []
    for name, cell in _cells(table, metric):
        figures = [spread(cell), str(cell.summary.n), interval(cell.summary.crossed)]
        figures += [interval(cell.summary.student), number(cell.floor), number(cell.ceiling)]
        body.append([_marked(table, name), *figures])
    return head, body


def differences(table: Table, metric: str) -> Text:
    """A line for each variant that is compared with the reference in one metric."""
    head = [
        f"minus {table.study.reference}", "difference", "pairs", "95%, seeds and images",
        "95%, seeds (t)", "p (t)", "p (Holm)", "p (signs)", "effect g", "verdict",
    ]  # fmt: skip
    body = []
    for name, cell in _cells(table, metric):
        if (gap := cell.difference) is not None:
            row = [name, signed(gap.mean), str(gap.n), interval(gap.crossed, True)]
            row += [interval(gap.student, True), chance(gap.p), chance(gap.adjusted)]
            body.append([*row, chance(gap.sign_p), _effect(gap.effect), cell.verdict])
    return head, body


def selectivity(table: Table) -> Text:
    """Does one thing change at a time: target effect, off-target effect, their shares, stability
    of the mask. A variant that ignores attributes has a perfect stability and no effect."""
    head = ["variant", "attribute effect", "off-target effect", "selectivity", "mask stability"]
    body = []
    for name in table.variants:
        cells = [table.cells[name].get(m) for m in ("attribute_effect", "off_target_effect",
                                                    "mask_stability")]  # fmt: skip
        target, other, stability = cells
        if target is None or other is None or stability is None:
            continue
        shares = [
            target.scores[seed] / (target.scores[seed] + other.scores[seed])
            for seed in target.scores
            if seed in other.scores and target.scores[seed] + other.scores[seed] > 0
        ]
        share = number(sum(shares) / len(shares)) if shares else "–"
        row = [_marked(table, name), spread(target), spread(other), share, spread(stability)]
        body.append(row)
    return head, body


def runs(table: Table) -> Text:
    """Where each figure comes from: a line for each run."""
    head = ["run", "config", "trained at", "evaluated at", "model", "steps", "seconds"]
    head += headlines(table)
    body = []
    for found in table.runs:
        record = found.record
        seconds = " + ".join(f"{value:.0f}" for value in record["seconds"].values())
        row = [found.run.name, record["config_hash"][:12], _commit(record["trained_at"])]
        row += [_commit(record["evaluated_at"]), record["model"][:12], str(record["steps"])]
        row.append(seconds)
        row += [number(found.rows.get(m, {}).get("score")) for m in headlines(table)]
        body.append(row)
    return head, body


def markdown(table: Table, command: str) -> str:
    """The whole study as Markdown."""
    study = table.study
    parts = [f"# Ablation `{study.name}`", study.config.purpose, f"```\n{command}\n```"]
    if study.config.expect:
        parts.append(f"Expected before the runs: {study.config.expect}")
    parts += [f"**In doubt:** {warning}." for warning in table.warnings]
    parts += [_markdown(overview(table)), MARKS, how_to_read(table)]
    for metric in headlines(table):
        told = meaning(metric)
        parts += [f"## {metric}", f"{told[:1].upper()}{told[1:]}." if told else ""]
        parts += [_markdown(text) for text in (scores(table, metric), differences(table, metric))]
    if selectivity(table)[1]:
        parts += ["## Selectivity", _markdown(selectivity(table))]
    parts += ["## Runs", _markdown(runs(table))]
    return "\n\n".join(part for part in parts if part) + "\n"


def summary_csv(table: Table) -> str:
    """A line for each variant and metric, all figures in full."""
    head = [
        "variant", "metric", "better", "mean", "sd", "n", "low", "high", "student_low",
        "student_high", "images_resampled", "floor", "ceiling", "reference", "difference",
        "difference_sd", "difference_n", "difference_low", "difference_high",
        "difference_student_low", "difference_student_high", "p", "p_holm", "p_signs",
        "effect_g", "parameters", "cells_left_out",
    ]  # fmt: skip
    body = []
    for name in table.variants:
        count, _ = table.parameters(name)
        for metric, cell in table.cells[name].items():
            s, gap = cell.summary, cell.difference
            row = [name, metric, cell.better, s.mean, s.sd, s.n, s.crossed.low, s.crossed.high]
            row += [s.student.low, s.student.high, cell.resampled, cell.floor, cell.ceiling]
            row.append(table.study.reference)
            if gap is None:
                row += [None] * 11
            else:
                row += [gap.mean, gap.sd, gap.n, gap.crossed.low, gap.crossed.high]
                row += [gap.student.low, gap.student.high]
                row += [gap.p, gap.adjusted, gap.sign_p, gap.effect]
            row += [count, table.cells_off(name)]
            body.append(row)
    return _csv(head, body)


def runs_csv(table: Table) -> str:
    """A line for each run and metric, with what it comes from."""
    head = ["run", "variant", "seed", "metric", "score", "low", "high", "floor", "ceiling", "n",
            "config_hash", "training_hash", "data_hash", "evaluation_hash", "model", "trained_at",
            "evaluated_at", "parameters", "steps"]  # fmt: skip
    body = []
    for found in table.runs:
        told = [found.record[key] for key in head[10:]]
        for metric, row in found.rows.items():
            figures = [row.get(key) for key in ("score", "low", "high", "floor", "ceiling", "n")]
            first = [f"runs/{found.run.name}", found.run.variant, found.run.seed, metric]
            body.append([*first, *figures, *told])
    return _csv(head, body)


def headlines(table: Table) -> list[str]:
    """The main metrics that were measured; all of them where none of these was."""
    found = [m for m in table.metrics if m in HEADLINES or m.startswith("diversity_")]
    return found or list(table.metrics)


def how_to_read(table: Table) -> str:
    """What the intervals and tests say at this number of seeds."""
    trained = "All variants are trained for the same number of steps"
    if init := table.study.init:
        trained = f"All variants begin from the run of `{init}` that has their seed,"
    most = max((len(table.of(name)) for name in table.variants), default=0)
    return (
        f"Figures are mean ± standard deviation over n training seeds. {trained} and scored on the "
        "same conditions with the same noise. *Floor*: the samples against the conditions of "
        "other rows; *ceiling*: real pictures.\n\n"
        "*95%, seeds and images*: bootstrap interval that draws seeds first, then images, the same "
        "images for all runs. With few seeds it is too narrow, by about sqrt((n - 1) / n) where "
        "seeds rule. *95%, seeds (t)*: Student's interval, which is not.\n\n"
        "Differences are paired over seeds. The paired t-test is the one that can answer at 3 to 5 "
        "seeds, if differences are about normal; the exact test of signs assumes nothing, but at "
        f"n = {most} it cannot say less than p = {least_sign_p(most):.3g}. Holm corrects p over "
        "the variants of a metric; the verdict is by the corrected p < 0.05. *Effect g*: mean "
        "difference over its standard deviation (Hedges). *Not shown to differ* is no proof of "
        "being equal: look at the interval.\n\n"
        "Cells that the routing leaves out: *absent* ones have no parameters, so the variant is "
        "smaller; *off* ones have them, unused."
    )


def spread(cell: Cell) -> str:
    """Mean ± standard deviation."""
    mean, sd = cell.summary.mean, cell.summary.sd
    if math.isnan(sd):
        return number(mean)
    return f"{number(mean)} ± {sd:.3f}" if abs(mean) >= 0.01 else f"{number(mean)} ± {sd:.2g}"


def interval(bounds: Interval, with_sign: bool = False) -> str:
    """Low – high."""
    if math.isnan(bounds.low):
        return "–"
    show = signed if with_sign else number
    return f"{show(bounds.low)} – {show(bounds.high)}"


def signed(value: float) -> str:
    """With its sign."""
    return f"{value:+.2g}" if 0 < abs(value) < 0.001 else f"{value:+.3f}"


def chance(value: float) -> str:
    """A p-value."""
    if math.isnan(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _star(cell: Cell) -> str:
    return {"better": " ▲", "worse": " ▼"}.get(cell.verdict, "")


def _effect(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:+.1f}"


def _cells(table: Table, metric: str) -> list[tuple[str, Cell]]:
    rows = table.cells.items()
    return [(name, cells[metric]) for name, cells in rows if metric in cells]


def _marked(table: Table, name: str) -> str:
    return f"{name} (base)" if name == table.study.reference else name


def _commit(text: str) -> str:
    return text if text == "unknown" else text[:9] + ("+" if text.endswith("+") else "")


def _markdown(text: Text) -> str:
    head, body = text
    if not body:
        return ""
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *body])


def _csv(head: Sequence[str], body: Sequence[Sequence[object]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(head)
    for row in body:
        writer.writerow(["" if v is None or v != v else v for v in row])
    return buffer.getvalue()
