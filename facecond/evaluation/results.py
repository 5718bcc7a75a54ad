"""The files of an evaluation."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    append_rows(out / "results.jsonl", [row | doubts for row in found.rows])
    told = summary(found.rows) | found.provenance | doubts
    told |= {"probe_seconds": found.seconds, "notes": all_notes(found.rows, judged.notes)}
    if comparisons:
        told["published"] = as_json(comparisons)
    write_json(out / "results.json", told)
    table = markdown(found.rows, judged.notes, comparisons, judged.warnings)
    write_text(out / "results.md", table)
    write_counts(out / "counts.npz", found)
    return table


def append_rows(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Append rows to a JSON Lines file; the file is replaced as a whole, so it is never torn."""
    path = Path(path)
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    lines = (json.dumps(row, allow_nan=False) + "\n" for row in rows)
    write_text(path, before + "".join(lines))


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Rows -> the flat figures of `results.json`: `mask_miou`, `mask_miou_ceiling`, ..."""
    flat: dict[str, Any] = {}
    metrics_found = {row["metric"] for row in rows}
    for row in rows:
        name = row["metric"]
        flat[name] = row["score"]
        for key in ("ceiling", "floor", "share"):
            # Some ceilings are a row of their own.
            if row.get(key) is not None and f"{name}_reconstruction" not in metrics_found:
                flat[f"{name}_{key}"] = row[key]
        if row.get("second"):
            flat[f"{name}_second"] = row["second"]["score"]
            flat[f"{name}_difference"] = row["difference"]["score"]
        if name == "attribute_bacc":
            flat["attributes_claimed"] = len(row.get("detail", ()))
    return flat
