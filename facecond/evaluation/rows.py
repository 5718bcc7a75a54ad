"""Counts and features -> result rows.

A row is one score: `{metric, score, ceiling, floor, share, low, high, n, better, detail, ...}`.
`low` and `high` bound the 95% bootstrap interval, `share` is how far the score has come from floor
to ceiling, `better` says which way is up. With a second judge a row also holds what that one says
(`second`) and the first minus the second (`difference`). A row without a score has a `note`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from facecond import metrics
from facecond.labels import ATTRIBUTES, MASK_CLASSES

Row = dict[str, Any]
Counts = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Counts of each image in three pairings: samples against their own conditions, real pictures
against theirs, samples against the conditions of other rows."""

CHANCE = 0.55
"""An attribute is scored where the judge's accuracy on real pictures is surely above this."""


@dataclass(frozen=True)
class Scored:
    """Which attributes count: `columns` bool [40]; the others are `rare` (too few cases, or not
    known to the judge) or `unseen` (the judge cannot tell them in real pictures)."""

    columns: np.ndarray
    rare: list[str]
    unseen: list[str]
    note: str = ""

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return [name for name, ok in zip(ATTRIBUTES, self.columns, strict=True) if ok]


def scored_attributes(own: np.ndarray, real: Sequence[np.ndarray], seed: int) -> Scored:
    """Choose the attributes that count.

    Args:
        own: `attribute_counts` [n, 40, 4] of samples against their conditions.
        real: of the real pictures, one array for each judge; all of them must see an attribute.
    """
    common = ~np.isnan(metrics.attribute_accuracy(own.sum(0), metrics.MINIMUM_CASES))
    seen = common.copy()
    for counts in real:
        for column in np.flatnonzero(common):
            part = counts[:, column : column + 1]
            interval = metrics.bootstrap_interval(
                part, metrics.balanced_accuracy, seed=seed, draws=200
            )
            seen[column] &= interval.low >= CHANCE
    rare = [name for name, ok in zip(ATTRIBUTES, common, strict=True) if not ok]
    if common.any() and not seen.any():
        note = "in real pictures the judge tells no attribute from chance: its figures say nothing"
        return Scored(common, rare, [], note)
    unseen = [ATTRIBUTES[column] for column in np.flatnonzero(common & ~seen)]
    return Scored(seen, rare, unseen)


def mask_rows(masks: Sequence[Counts], pixels: Sequence[Counts], seed: int) -> list[Row]:
    """Rows `mask_miou` from `mask_counts` [n, 19, 2] and `pixel_accuracy` from `pixel_counts`
    [n, 2], one triple for each judge."""
    by_class = detail(MASK_CLASSES, [metrics.class_iou(c.sum(0)) for c in masks[0]])
    return [
        counted_row("mask_miou", metrics.mean_iou, masks, seed) | {"detail": by_class},
        counted_row("pixel_accuracy", metrics.ratio_of_sums, pixels, seed),
    ]


def attribute_rows(hits: Sequence[Counts], scored: Scored, seed: int) -> list[Row]:
    """Rows `attribute_bacc` and `attribute_f1` from `attribute_counts` [n, 40, 4], one triple for
    each judge; without any attribute to score, rows with a note."""
    names = ("attribute_bacc", "attribute_f1")
    left_out = {"skipped": scored.rare, "unseen": scored.unseen}
    if not scored.columns.any():
        cases = metrics.MINIMUM_CASES
        text = f"no attribute has {cases} faces with it and {cases} without: use more rows (--n)"
        return [note_row(name, text) for name in names]
    triples = []
    for own, real, other in hits:
        keep = scored.columns
        triples.append((own[:, keep], real[:, keep], other[:, keep]))
    rows = []
    scores = (metrics.attribute_accuracy, metrics.attribute_f1)
    for name, score in zip(names, scores, strict=True):
        row = counted_row(name, _mean_over_last(score), triples, seed)
        row["detail"] = detail(scored.names, [score(c.sum(0)) for c in triples[0]])
        rows.append(row | left_out | ({"note": scored.note} if scored.note else {}))
    return rows


def counted_row(
    metric: str,
    score: Callable[[np.ndarray], np.ndarray],
    counts: Sequence[tuple[np.ndarray, ...]],
    seed: int,
) -> Row:
    """A row of a score of summed counts (`score`: [..., *shape] -> [...]); a second triple of
    counts is that of a second judge."""
    own, real, *others = counts[0]
    row = score_row(
        metric,
        float(score(own.sum(0))),
        metrics.bootstrap_interval(own, score, seed=seed),
        ceiling=float(score(real.sum(0))),
        floor=float(score(others[0].sum(0))) if others else None,
        n=len(own),
    )
    for own_b, real_b, other_b in counts[1:]:
        second = [float(score(c.sum(0))) for c in (own_b, real_b, other_b)]
        both = np.stack([own, own_b], 1)
        gap = metrics.bootstrap_interval(both, lambda c: score(c[:, 0]) - score(c[:, 1]), seed=seed)
        share = metrics.share_of_way(second[0], second[2], second[1])
        row["second"] = dict(zip(("score", "ceiling", "floor"), map(known, second), strict=True))
        row["second"]["share"] = known(share)
        difference = float(score(own.sum(0))) - second[0]
        row["difference"] = {
            "score": known(difference), "low": known(gap.low), "high": known(gap.high)
        }  # fmt: skip
    return row


def frechet_rows(
    samples: np.ndarray,
    rebuilt: np.ndarray,
    real: np.ndarray,
    reference: np.ndarray,
    seed: int,
    name: str = "frechet_judge",
) -> list[Row]:
    """Rows NAME (samples), NAME_reconstruction, NAME_real from features [n, D] against `reference`
    [m, D]. The ceiling of samples is that of reconstructions: the first stage bounds what the
    sampler can reach. There is no floor: the figure does not look at conditions."""
    sets = {name: samples, f"{name}_reconstruction": rebuilt, f"{name}_real": real}
    rows = [frechet_row(key, features, reference, seed) for key, features in sets.items()]
    rows[0]["ceiling"] = rows[1]["score"]
    return rows


def frechet_row(
    name: str,
    features: np.ndarray,
    reference: np.ndarray,
    seed: int,
    ceiling: float | None = None,
) -> Row:
    """A row of the Fréchet distance of features [n, D] to `reference` [m, D]."""
    interval = metrics.frechet_interval(features, reference, seed=seed)
    score = metrics.frechet_distance(features, reference)
    row = score_row(name, score, interval, ceiling=ceiling, n=len(features), better="lower")
    return row | {"reference_n": len(reference)}


def mean_row(
    metric: str, sums: np.ndarray, seed: int, *, ceiling: float | None, floor: float | None,
    better: str = "higher",
) -> Row:  # fmt: skip
    """A row of a ratio of sums: `sums` float [n, 2], (total, count) of each image or condition."""
    score = float(metrics.ratio_of_sums(sums.sum(0)))
    interval = metrics.bootstrap_interval(sums, metrics.ratio_of_sums, seed=seed)
    return score_row(
        metric, score, interval, ceiling=ceiling, floor=floor, n=len(sums), better=better
    )


def score_row(
    metric: str,
    score: float,
    interval: metrics.Interval | None,
    *,
    ceiling: float | None = None,
    floor: float | None = None,
    n: int,
    better: str = "higher",
) -> Row:
    """A row; NaN becomes None. `better` is "higher" or "lower"."""
    share = None
    if floor is not None and ceiling is not None and floor != ceiling:
        share = known(metrics.share_of_way(score, floor, ceiling))
    return {
        "metric": metric,
        "score": known(score),
        "ceiling": known(ceiling),
        "floor": known(floor),
        "share": share,
        "low": None if interval is None else known(interval.low),
        "high": None if interval is None else known(interval.high),
        "n": n,
        "better": better,
    }


def note_row(metric: str, text: str) -> Row:
    """A row that has no score, and says why."""
    empty = dict.fromkeys(("score", "ceiling", "floor", "share", "low", "high", "n"))
    return {"metric": metric, **empty, "note": text}


def _mean_over_last(score: Callable[[np.ndarray], np.ndarray]) -> Callable[..., np.ndarray]:
    def mean(counts: np.ndarray) -> np.ndarray:
        return metrics.mean_of_known(score(counts))

    return mean


def known(value: float | None) -> float | None:
    """The value, or None for NaN."""
    return None if value is None or np.isnan(value) else float(value)


def rounded(value: float) -> float | None:
    """Four digits after the point for JSON, or None where it is not finite."""
    return round(float(value), 4) if np.isfinite(value) else None


def detail(names: Sequence[str], values: Sequence[np.ndarray]) -> dict[str, dict[str, Any]]:
    """Score, ceiling and, if it is given, floor by name; null where a pairing has no case. Names
    that occur in none are left out."""
    plain = [[known(v) for v in part] for part in values]
    return {
        name: dict(zip(("score", "ceiling", "floor"), parts, strict=False))
        for name, *parts in zip(names, *plain, strict=True)
        if any(part is not None for part in parts)
    }
