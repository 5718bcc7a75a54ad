"""A study's report: `report.html` (one page, nothing else needed), `report.md`, CSV."""

from __future__ import annotations

import html
import math
from pathlib import Path
from typing import Any

import numpy as np

from facecond.analysis.ablation import report_tables as tables
from facecond.analysis.ablation.charts import Gap, Point, forest, pareto
from facecond.analysis.ablation.table import Table, learning_curve, varied
from facecond.evaluation.tables import meaning
from facecond.figures import html_page, html_table, html_tiles, png_data_uri, svg_curves
from facecond.models.routing.drawing import draw
from facecond.storage import write_text

CURVES = 6
"""Most curves in one chart: the base and so many less one."""


def write_reports(out: Path, table: Table, command: str) -> list[Path]:
    """Write all forms of the report into the study's folder; returns the files."""
    files = {
        "report.html": page(table, command),
        "report.md": tables.markdown(table, command),
        "summary.csv": tables.summary_csv(table),
        "runs.csv": tables.runs_csv(table),
    }
    for name, text in files.items():
        write_text(out / name, text)
    return [out / name for name in files]


def page(table: Table, command: str) -> str:
    """The page as HTML."""
    study = table.study
    lead = f"<p>{html.escape(study.config.purpose)}</p>"
    if study.config.expect:
        lead += f'<p class="note">Expected before the runs: {html.escape(study.config.expect)}</p>'
    done = len(table.runs)
    steps = sorted({found.run.config.train.steps for found in table.runs})
    long = " to ".join(map(str, dict.fromkeys([steps[0], steps[-1]])))
    lead += (
        f'<p class="note">{len(table.variants)} variants, {done} runs of '
        f"{long} steps.</p><pre>{html.escape(command)}</pre>"
    )
    sections = [
        ("All variants", html_table(*tables.overview(table)) + f"<p>{tables.MARKS}</p>"),
        ("Mask against attributes", _pareto(table)),
        ("Differences to the base", _forests(table)),
        *((metric, _metric(table, metric)) for metric in tables.headlines(table)),
        ("Does one thing change at a time?", _selectivity(table)),
        ("The same conditions and noise for all", _pictures(table)),
        ("Learning curves", _curves(table)),
        ("Which source reaches which layer", _routings(table)),
        ("How to read this", _reading(table)),
        ("What the variants change", _changes(table)),
        ("Where the figures come from", _runs(table)),
    ]
    lead += "".join(f"<p><b>In doubt:</b> {html.escape(w)}.</p>" for w in table.warnings)
    title = f"Ablation: {study.name}"
    return html_page(title, lead, [(name, body) for name, body in sections if body])


def _metric(table: Table, metric: str) -> str:
    text = meaning(metric)
    note = f"<p>{html.escape(text[:1].upper() + text[1:])}.</p>" if text else ""
    gaps = tables.differences(table, metric)
    return note + html_table(*tables.scores(table, metric)) + (html_table(*gaps) if gaps[1] else "")


def _pareto(table: Table) -> str:
    points = []
    for name in table.variants:
        x, y = (table.cells[name].get(m) for m in ("mask_miou", "attribute_bacc"))
        if x is None or y is None:
            continue
        points.append(
            Point(
                name,
                x.summary.mean,
                y.summary.mean,
                _known(x.summary.sd),
                _known(y.summary.sd),
                [(x.scores[seed], y.scores[seed]) for seed in x.scores if seed in y.scores],
                name == table.study.reference,
            )
        )
    if not points:
        return ""
    note = (
        "Means with standard deviations over seeds, single runs as small dots; the line joins "
        "the variants that no other beats in both. The base is in the second colour."
    )
    return f"<p>{note}</p>{pareto(points, 'mask mIoU', 'attribute balanced accuracy')}"


def _forests(table: Table) -> str:
    charts = []
    for metric in tables.headlines(table):
        gaps = []
        for name in table.variants:
            cell = table.cells[name].get(metric)
            if cell is None or cell.difference is None:
                continue
            base = table.cells[table.study.reference][metric].scores
            single = [cell.scores[seed] - base[seed] for seed in cell.scores if seed in base]
            bounds = cell.difference.student
            gaps.append(
                Gap(name, cell.difference.mean, bounds.low, bounds.high, single,
                    cell.verdict in ("better", "worse"))
            )  # fmt: skip
        if gaps:
            better = next(c[metric].better for c in table.cells.values() if metric in c)
            chart = forest(gaps, f"{metric} minus the base")
            charts.append(f"<div><h3>{metric} ({better} is better)</h3>{chart}</div>")
    if not charts:
        return ""
    note = (
        "Mean, Student's 95% interval over seeds, and single seeds; second colour: p < 0.05 after "
        "Holm's correction."
    )
    return f'<p>{note}</p><div class="pair">{"".join(charts)}</div>'


def _selectivity(table: Table) -> str:
    text = tables.selectivity(table)
    note = (
        "Target effect and off-target effect of turning one attribute on at fixed mask and noise, "
        "and target / (target + off-target). A variant that ignores attributes has a perfect mask "
        "stability and no effect."
    )
    return f"<p>{note}</p>{html_table(*text)}" if text[1] else ""


def _pictures(table: Table) -> str:
    """A row for each condition, a column for each variant: its first seed."""
    columns: list[Any] = []
    names = []
    for name in table.variants:
        found = table.of(name)[0]
        file = found.run.folder / "evaluation" / "pictures.npz"
        if file.is_file():
            with np.load(file, allow_pickle=False) as arrays:
                columns.append({key: arrays[key] for key in arrays.files})
            names.append(found.run.name)
    if not columns or not len(columns[0]["samples"]):
        return ""
    first = columns[0]
    same = [c for c in columns if (c["rows"] == first["rows"]).all()]
    grid = [
        [first["masks"][i], first["real"][i], *(column["samples"][i] for column in same)]
        for i in range(len(first["rows"]))
    ]
    head = ["condition", "real", *(name.partition("/")[0] for name in names)]
    words = [str(text).replace(",", ", ").replace("_", " ") for text in first["words"]]
    note = f"Samples of the runs {', '.join(names)}."
    return f"<p>{html.escape(note)}</p>{html_tiles(grid, row_labels=words, column_labels=head)}"


def _curves(table: Table) -> str:
    others = [name for name in table.variants if name != table.study.reference]
    charts = []
    for start in range(0, max(len(others), 1), CURVES - 1):
        shown = others[start : start + CURVES - 1]
        if table.study.reference in table.variants:
            shown = [table.study.reference, *shown]
        series = {name: _mean_curve(table, name) for name in shown}
        charts.append(f"<div>{svg_curves(series, x_label='step', y_label='loss', width=460)}</div>")
    note = "Training loss, mean over seeds."
    if any(key.startswith(("objective.", "perceptual.")) for key in varied(table.study)):
        note += " The objective is varied here: losses of different objectives do not compare."
    return f'<p>{note}</p><div class="pair">{"".join(charts)}</div>'


def _mean_curve(table: Table, name: str) -> tuple[list[float], list[float]]:
    by_step: dict[int, list[float]] = {}
    for found in table.of(name):
        for step, loss in zip(*learning_curve(found.run), strict=True):
            by_step.setdefault(step, []).append(loss)
    whole = [step for step, losses in by_step.items() if len(losses) == len(table.of(name))]
    return [float(s) for s in sorted(whole)], [float(np.mean(by_step[s])) for s in sorted(whole)]


def _routings(table: Table) -> str:
    charts = []
    for name in table.variants:
        title = html.escape(f"{name} ({table.cells_off(name)})")
        picture = f'<img alt="routing of {title}" src="{png_data_uri(draw(table.routing(name)))}">'
        charts.append(f'<div><h3>{title}</h3><div class="scroll">{picture}</div></div>')
    note = (
        "Gates, layers in the order of execution: blue on (darker is stronger; in a cell, the "
        "picture's end of the noise levels left, the noise's right), crossed off, empty absent. Of "
        "the first seed."
    )
    return f'<p>{note}</p><div class="pair">{"".join(charts)}</div>'


def _changes(table: Table) -> str:
    body = []
    for variant in table.study.variants:
        words = ", ".join(f"{key}={value}" for key, value in variant.changes.items())
        body.append([variant.name, words or "nothing"])
    return html_table(["variant", "changes of the base"], body)


def _runs(table: Table) -> str:
    first = table.runs[0].record
    told = [
        ["data", first["data_hash"][:16]],
        ["evaluation settings", first["evaluation_hash"][:16]],
        ["conditions", str(table.study.config.evaluate.n)],
    ]
    note = (
        "Folders are runs/VARIANT/seed-N beside this page; config is the hash of all settings of "
        "a run; seconds are training + evaluation of the last try."
    )
    return f"<p>{note}</p>{html_table(*tables.runs(table))}{html_table([], told)}"


def _known(value: float) -> float:
    return 0.0 if math.isnan(value) else value


def _reading(table: Table) -> str:
    parts = tables.how_to_read(table).split("\n\n")
    return "".join(f"<p>{html.escape(part).replace('*', '')}</p>" for part in parts)
