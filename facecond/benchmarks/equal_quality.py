"""Which settings of two models are equally good: scores with intervals, and what noise allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
"""Of `evaluation.step_table.step_rows`: scheduler, steps, passes, and each score with `_low` and
`_high`."""

HIGHER = ("mask_miou", "attribute_bacc")
LOWER = ("frechet_judge",)


def as_good(row: Row, other: Row) -> bool:
    """Whether no score of `row` is worse than that of `other` beyond both intervals."""
    return all(row[f"{name}_high"] >= other[f"{name}_low"] for name in HIGHER) and all(
        row[f"{name}_low"] <= other[f"{name}_high"] for name in LOWER
    )


def cheapest(rows: Sequence[Row]) -> Row:
    """The row with the fewest passes of the network; of equals, the first."""
    return min(rows, key=lambda row: row["passes"])


def best_setting(rows: Sequence[Row]) -> Row:
    """A model's cheapest setting that is as good as each of its own settings."""
    candidates = [row for row in rows if all(as_good(row, other) for other in rows)]
    return cheapest(candidates or [max(rows, key=lambda row: row["passes"])])


def shipped_setting(rows: Sequence[Row], solver: str, steps: int) -> Row:
    """The setting that a peer is used with; where it was not measured, the one with most passes."""
    for row in rows:
        if (row["scheduler"], row["steps"]) == (solver, steps):
            return row
    return max(rows, key=lambda row: row["passes"])


def matching(rows: Sequence[Row], others: Sequence[Row]) -> Row | None:
    """The cheapest setting that is as good as all of the others; None where there is none."""
    candidates = [row for row in rows if all(as_good(row, other) for other in others)]
    return cheapest(candidates) if candidates else None


def scores(row: Row) -> dict[str, Any]:
    """What tables say of a setting."""
    found: dict[str, Any] = {"solver": row["scheduler"], "steps": row["steps"],
                             "passes": row["passes"]}  # fmt: skip
    for name in (*HIGHER, *LOWER):
        found[name] = [round(row[f"{name}{end}"], 4) for end in ("", "_low", "_high")]
    return found
