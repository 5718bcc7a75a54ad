"""Counts and features -> result rows; rows -> `results.jsonl` and a Markdown table.

A row is one score: `{metric, score, ceiling, floor, share, low, high, detail, ...}`, where `low`
and `high` bound the 95% bootstrap interval over images, and `share` is how far the score has come
from floor to ceiling.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from facecond import metrics
from facecond.errors import UserError
from facecond.labels import ATTRIBUTES, MASK_CLASSES
from facecond.storage import write_text

Row = dict[str, Any]


def mask_row(samples: np.ndarray, real: np.ndarray, shuffled: np.ndarray, seed: int) -> Row:
    """Row `mask_miou` from the `mask_counts` [n, 19, 2] of three pairings: samples against their
    own masks, real pictures against theirs, samples against masks of other rows."""
    counts = (samples, real, shuffled)
    score, ceiling, floor = (float(metrics.mean_iou(c.sum(0))) for c in counts)
    interval = metrics.bootstrap_interval(samples, metrics.mean_iou, seed=seed)
    detail = _detail(MASK_CLASSES, [metrics.class_iou(c.sum(0)) for c in counts])
    return _row("mask_miou", score, ceiling, floor, interval) | {"detail": detail}


def attribute_row(samples: np.ndarray, real: np.ndarray, shuffled: np.ndarray, seed: int) -> Row:
    """Row `attribute_bacc` from the `attribute_counts` [n, 40, 4] of the same three pairings.

    Attributes with too few cases are skipped, and listed in the row.

    Raises:
        UserError: no attribute is left.
    """
    scored = ~np.isnan(metrics.attribute_accuracy(samples.sum(0), metrics.MINIMUM_CASES))
    if not scored.any():
        raise UserError(
            f"no attribute has {metrics.MINIMUM_CASES} faces with it and as many without",
            f"{len(samples)} test rows",
            "Use more test rows (--n).",
        )
    counts = [c[:, scored] for c in (samples, real, shuffled)]
    score, ceiling, floor = (float(metrics.balanced_accuracy(c.sum(0))) for c in counts)
    interval = metrics.bootstrap_interval(counts[0], metrics.balanced_accuracy, seed=seed)
    names = [name for name, ok in zip(ATTRIBUTES, scored, strict=True) if ok]
    return _row("attribute_bacc", score, ceiling, floor, interval) | {
        "detail": _detail(names, [metrics.attribute_accuracy(c.sum(0)) for c in counts]),
        "skipped": [name for name in ATTRIBUTES if name not in names],
    }


def frechet_rows(
    samples: np.ndarray, rebuilt: np.ndarray, real: np.ndarray, reference: np.ndarray, seed: int
) -> list[Row]:
    """Rows `frechet_judge` (samples), `..._reconstruction`, `..._real` from features [n, D] against
    `reference` [m, D]. The ceiling of samples is that of reconstructions: the first stage bounds
    what the sampler can reach. There is no floor: the figure does not look at conditions."""
    sets = {
        "frechet_judge": samples,
        "frechet_judge_reconstruction": rebuilt,
        "frechet_judge_real": real,
    }
    scores = {name: metrics.frechet_distance(f, reference) for name, f in sets.items()}
    rows = []
    for name, features in sets.items():
        interval = metrics.frechet_interval(features, reference, seed=seed)
        ceiling = scores["frechet_judge_reconstruction"] if name == "frechet_judge" else None
        row = _row(name, scores[name], ceiling, None, interval)
        rows.append(row | {"reference_n": len(reference)})
    return rows


def append_rows(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Append rows to a JSON Lines file; the file is replaced as a whole, so it is never torn."""
    path = Path(path)
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    lines = (json.dumps(row, allow_nan=False) + "\n" for row in rows)
    write_text(path, before + "".join(lines))


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Rows -> the flat figures of `results.json`: `mask_miou`, `mask_miou_ceiling`, ..."""
    flat: dict[str, Any] = {}
    for row in rows:
        name = row["metric"]
        flat[name] = row["score"]
        for key in ("ceiling", "floor", "share"):
            if row.get(key) is not None and not name.startswith("frechet"):
                flat[f"{name}_{key}"] = row[key]
        if name == "attribute_bacc":
            flat["attributes_claimed"] = len(row["detail"])
    return flat


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows -> a Markdown table with a line on how to read it."""
    lines = [
        "| metric | score | 95% interval | floor | ceiling | share of the way | n |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append("| " + " | ".join(cells(row)) + " |")
    lines += [
        "",
        "Ceiling: the real test pictures through the same judge (for `frechet_judge`, lower is"
        " better: first-stage reconstructions). Floor: the same samples against the conditions of"
        " other rows. `frechet_judge` compares features of the attribute judge and is not an FID.",
    ]
    return "\n".join(lines) + "\n"


def cells(row: Mapping[str, Any]) -> list[str]:
    """One row as text: metric, score, interval, floor, ceiling, share, n."""

    def number(value: float | None) -> str:
        return "–" if value is None else f"{value:.3f}"

    share = row.get("share")
    return [
        row["metric"],
        number(row["score"]),
        f"{number(row['low'])} – {number(row['high'])}",
        number(row.get("floor")),
        number(row.get("ceiling")),
        "–" if share is None else f"{share:.0%}",
        str(row.get("n", "–")),
    ]


def _row(
    metric: str,
    score: float,
    ceiling: float | None,
    floor: float | None,
    interval: metrics.Interval,
) -> Row:
    share = None
    if floor is not None and ceiling is not None and floor != ceiling:
        share = metrics.share_of_way(score, floor, ceiling)
    return {
        "metric": metric,
        "score": score,
        "ceiling": ceiling,
        "floor": floor,
        "share": share,
        "low": interval.low,
        "high": interval.high,
    }


def _detail(names: Sequence[str], values: Sequence[np.ndarray]) -> dict[str, dict[str, Any]]:
    """Score, ceiling and floor by name; null where a pairing has no case."""
    plain = [[None if np.isnan(v) else float(v) for v in part] for part in values]
    return {
        name: dict(zip(("score", "ceiling", "floor"), parts, strict=True))
        for name, *parts in zip(names, *plain, strict=True)
        if any(part is not None for part in parts)
    }
