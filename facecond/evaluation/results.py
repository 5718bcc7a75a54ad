"""The files of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from facecond.evaluation import rows as result_rows
from facecond.evaluation.counts import write_counts
from facecond.evaluation.published import Comparison, as_json
from facecond.evaluation.tables import all_notes, markdown
from facecond.storage import write_json, write_text

if TYPE_CHECKING:
    from facecond.evaluation.protocol import Evaluation


def write_results(
    out: str | Path,
    found: Evaluation,
    notes: Sequence[str] = (),
    comparisons: Sequence[Comparison] = (),
) -> str:
    """Write `results.jsonl`, `results.json`, `results.md` and `counts.npz` into the folder `out`;
    returns the table as Markdown."""
    out = Path(out)
    result_rows.append_rows(out / "results.jsonl", found.rows)
    summary = result_rows.summary(found.rows) | found.provenance
    summary |= {"probe_seconds": found.seconds, "notes": all_notes(found.rows, notes)}
    if comparisons:
        summary["published"] = as_json(comparisons)
    write_json(out / "results.json", summary)
    table = markdown(found.rows, notes, comparisons)
    write_text(out / "results.md", table)
    write_counts(out / "counts.npz", found)
    return table
