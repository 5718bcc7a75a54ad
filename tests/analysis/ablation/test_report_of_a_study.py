"""The report in all its forms, from planted runs."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from typing import Any

import pytest

from facecond.analysis.ablation import report_tables as tables
from facecond.analysis.ablation.hparams import write_hparams
from facecond.analysis.ablation.report import page, write_reports
from facecond.analysis.ablation.table import Table, collect

COMMAND = "facecond ablate tiny"
BASE = [0.50, 0.56, 0.47, 0.53, 0.44]


@pytest.fixture
def world(planted: Callable[..., Any]) -> Any:
    return planted({"all": BASE, "split": [0.531, 0.588, 0.502, 0.559, 0.469]})


@pytest.fixture
def table(world: Any) -> Table:
    return collect(world.study, world.runs)


def test_the_page_is_whole_and_loads_nothing(table: Table) -> None:
    found = page(table, COMMAND)
    for title in (
        "All variants", "Mask against attributes", "Differences to the base", "Learning curves",
        "The same conditions and noise for all", "Which source reaches which layer",
        "How to read this", "What the variants change", "Where the figures come from",
    ):  # fmt: skip
        assert f"<h2>{title}</h2>" in found
    assert "Does it matter which layers see what?" in found and "Not after five steps." in found
    assert not re.search(r'(src|href)="(?!data:)', found)
    assert found.count("<img") >= 2 * 4 + 2  # conditions x (mask, real, two variants), routings
    assert found.count("both judges learned from the same faces") == 1
    assert "routing.preset=coarse_fine" in found and COMMAND in found


def test_every_figure_names_its_run_config_and_commit(table: Table) -> None:
    head, body = tables.runs(table)
    assert [row[0] for row in body] == [f"{v}/seed-{s}" for s in range(5) for v in ("all", "split")]
    line = dict(zip(head, body[0], strict=True))
    assert line["config"] == table.runs[0].run.config_hash[:12]
    assert line["trained at"] == "c" * 9 and line["evaluated at"] == "c" * 9 + "+"
    rows = list(csv.DictReader(io.StringIO(tables.runs_csv(table))))
    assert len(rows) == 10 * 4
    first = next(row for row in rows if row["metric"] == "mask_miou")
    assert (first["run"], float(first["score"])) == ("runs/all/seed-0", 0.50)
    assert first["config_hash"] == table.runs[0].run.config_hash
    assert (
        first["trained_at"] == "c" * 40 and first["data_hash"] == table.runs[0].record["data_hash"]
    )


def test_the_summary_holds_all_figures_in_full(table: Table) -> None:
    rows = list(csv.DictReader(io.StringIO(tables.summary_csv(table))))
    by_name = {(row["variant"], row["metric"]): row for row in rows}
    base, split = by_name["all", "mask_miou"], by_name["split", "mask_miou"]
    assert float(base["mean"]) == pytest.approx(0.5) and base["difference"] == ""
    assert float(split["difference"]) == pytest.approx(0.0298)
    assert float(split["p_signs"]) == 0.0625 and float(split["p"]) < 0.001
    assert split["difference_n"] == "5" and split["parameters"] == "900"
    assert "absent" in split["cells_left_out"] and base["cells_left_out"] == "all on"


def test_tables_in_words(table: Table) -> None:
    head, body = tables.overview(table)
    assert body[0][0] == "all (base)" and body[1][0] == "split"
    assert body[1][head.index("mask_miou")] == "0.530 ± 0.047 ▲"
    assert body[1][head.index("to the base")] == "-10.0%"
    head, body = tables.differences(table, "mask_miou")
    assert head[0] == "minus all" and body[0][0] == "split" and body[0][1] == "+0.030"
    assert body[0][-1] == "better"
    text = tables.markdown(table, COMMAND)
    assert "## mask_miou" in text and "cannot say less than p = 0.0625" in text
    widths = [line.count("|") for line in text.splitlines() if line.startswith("| all (base)")]
    assert len(set(widths)) > 1  # one overview, and one table for each metric


def test_files_and_hparams(world: Any, table: Table) -> None:
    files = write_reports(world.out, table, COMMAND)
    assert [f.name for f in files] == ["report.html", "report.md", "summary.csv", "runs.csv"]
    assert all(f.is_file() for f in files)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for _ in range(2):  # written anew, not added to
        folder = write_hparams(world.out, table)
    assert len(list(folder.rglob("events.*"))) == 10
    events = EventAccumulator(str(folder / "split" / "seed-3"))
    events.Reload()
    assert events.Scalars("score/mask_miou")[0].value == pytest.approx(0.559)
    assert "_hparams_/session_start_info" in events.summary_metadata
