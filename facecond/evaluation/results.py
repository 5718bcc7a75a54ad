"""The files of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from facecond.evaluation import rows as result_rows
from facecond.evaluation.counts import write_counts
from facecond.evaluation.independence import Independence
from facecond.evaluation.published import Comparison, as_json
from facecond.evaluation.tables import all_notes, markdown
from facecond.storage import make_folder, write_json, write_text

if TYPE_CHECKING:
    from facecond.evaluation.protocol import Evaluation

NOTHING_SHARED = Independence()


def write_results(
    out: str | Path,
    found: Evaluation,
    judged: Independence = NOTHING_SHARED,
    comparisons: Sequence[Comparison] = (),
) -> str:
    """Write `results.jsonl`, `results.json`, `results.md` and `counts.npz` into the folder `out`;
    returns the table as Markdown. Warnings on the judges stand in all of them but the counts."""
    out = make_folder(out)
    doubts = {"warnings": judged.warnings} if judged.warnings else {}
    result_rows.append_rows(out / "results.jsonl", [row | doubts for row in found.rows])
    summary = result_rows.summary(found.rows) | found.provenance | doubts
    summary |= {"probe_seconds": found.seconds, "notes": all_notes(found.rows, judged.notes)}
    if comparisons:
        summary["published"] = as_json(comparisons)
    write_json(out / "results.json", summary)
    table = markdown(found.rows, judged.notes, comparisons, judged.warnings)
    write_text(out / "results.md", table)
    write_counts(out / "counts.npz", found)
    return table
