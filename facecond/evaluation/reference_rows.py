"""Measurements on pairs of faces -> rows on what is taken from a reference.

| row | asked | what |
|---|---|---|
| appearance_transfer | appearance | attributes of appearance as the reference has them |
| appearance_gain | appearance | ... minus the same without the reference |
| layout_adherence | appearance | the mask that was given |
| layout_leak, disputed_leak | appearance | the reference's layout beyond that mask |
| identity_leak | appearance | who the reference is |
| layout_leak_gain, disputed_gain, identity_gain | appearance | ... minus without the reference |
| truth_distance | appearance | pixels off the true picture |
| geometry_transfer | geometry | the reference's layout |
| geometry_gain | geometry | ... minus the same without the reference |
| appearance_adherence | geometry | the attributes of appearance that were given |
| appearance_leak, appearance_leak_gain | geometry | the reference's appearance beyond those |
| geometry_truth_distance | geometry | pixels off the true picture |
| both_layout, both_appearance | both | the geometry of one picture, the appearance of another |
| both_truth_distance | both | pixels off the true picture |

Rows that end in `_without` are the same without the reference. Pairs that share a planted factor
are drawn together for the intervals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from facecond import metrics
from facecond.data.prepared import PreparedFolder
from facecond.evaluation.conditions import masks_of
from facecond.evaluation.generation import Arrays
from facecond.evaluation.reference_pairs import FacePairs
from facecond.evaluation.reference_scores import (
    LOWER,
    SCORES,
    all_of_it,
    cosines,
    leak_gains,
    off,
    with_chance,
)
from facecond.evaluation.rows import Row, Scored, known, note_row, score_row, scored_attributes
from facecond.labels import ANYTHING, PRESENT, UNSPECIFIED


@dataclass
class Taken:
    """What the probe shows: its pairs, and metric -> counts of each group of pairs [G, ...]."""

    pairs: FacePairs
    counts: Mapping[str, np.ndarray]


@dataclass
class Found:
    """Rows of one asking, and their counts."""

    rows: list[Row]
    counts: dict[str, np.ndarray]


@dataclass(frozen=True)
class Measured:
    """What all rows are scored with.

    Attributes:
        known: attributes that the judges know, bool [40].
        real: role in the pairs -> what was seen in its real pictures.
        partner: for each pair the place of another, [n].
    """

    pairs: FacePairs
    folder: PreparedFolder
    known: np.ndarray
    real: Mapping[str, Arrays]
    partner: np.ndarray
    seed: int

    def values(self, role: str) -> np.ndarray:
        """Known attributes of appearance of the faces in a role, int8 [n, 40]; others are open."""
        counted = self.pairs.appearance & self.known
        values = self.folder.attributes[getattr(self.pairs, role)]
        return np.where(counted, values, np.int8(UNSPECIFIED))

    def hits(self, values: np.ndarray, present: np.ndarray, scored: Scored) -> np.ndarray:
        """`attribute_counts` [n, A, 4] of the attributes that count."""
        return metrics.attribute_counts(values, present)[:, scored.columns]

    def scored(self, values: np.ndarray, role: str) -> Scored:
        """Which attributes count, by the real pictures that have these values."""
        counts = metrics.attribute_counts(values, self.real[role]["present"])
        return scored_attributes(counts, [counts], self.seed)

    @cached_property
    def asked_layouts(self) -> np.ndarray:
        """The masks of the targets against those of the references, and of other pairs'
        references, [n, 2, 19, 2]."""
        strangers = self.pairs.references[self.partner]
        both = (self.pairs.references, self.pairs.targets), (strangers, self.pairs.targets)
        return np.stack([self.overlap(*rows) for rows in both], 1)

    def overlap(self, theirs: np.ndarray, own: np.ndarray) -> np.ndarray:
        """The masks of some faces against those of others, [n, 19, 2]; what is open in one of them
        does not count."""
        found = []
        for start in range(0, len(own), 64):
            part = slice(start, start + 64)
            first, second = masks_of(self.folder, theirs[part]), masks_of(self.folder, own[part])
            first = np.where(second == ANYTHING, np.uint8(ANYTHING), first)
            found.append(metrics.mask_counts(first, second))
        return np.concatenate(found)

    def row(
        self,
        metric: str,
        counts: np.ndarray,
        ceiling: np.ndarray | float | None = None,
        floor: np.ndarray | float | None = None,
    ) -> tuple[Row, np.ndarray]:
        """A row and the counts of its groups.

        Args:
            counts: of each pair, [n, ...]; what `SCORES` takes.
            ceiling, floor: counts of the same kind, or figures.
        """
        name = metric.removesuffix("_without")
        score = SCORES[name]
        grouped = metrics.by_group(counts, self.pairs.groups)

        def figure(value: np.ndarray | float | None) -> float | None:
            return float(score(value.sum(0))) if isinstance(value, np.ndarray) else value

        row = score_row(
            metric,
            float(score(counts.sum(0))),
            metrics.bootstrap_interval(grouped, score, seed=self.seed),
            ceiling=figure(ceiling),
            floor=figure(floor),
            n=len(counts),
            better="lower" if name in LOWER else "higher",
        )
        return row | {"groups": len(grouped)}, grouped


def reference_rows(measured: Measured, asking: str, made: Arrays, plain: Arrays | None) -> Found:
    """Rows of one asking.

    Args:
        made: what was seen in the samples (`references.sample`).
        plain: the same without the reference; None where there is nothing to compare with.
    """
    score = {"appearance": appearance_rows, "geometry": geometry_rows, "both": both_rows}[asking]
    found = Found([], {})
    sides = {"": made} if plain is None else {"": made, "_without": plain}
    told = {end: score(measured, seen) for end, seen in sides.items()}
    source = f"{asking}_transfer"
    if plain is not None and not isinstance(told[""].get(source, ""), str):
        pair = np.stack([told[end][source][0] for end in sides], 1)
        best = told[""][source][1]
        ceiling = np.stack([best, pair[:, 1]], 1)
        told[""] = told[""] | {f"{asking}_gain": (pair, ceiling, 0.0)}
    if plain is not None:
        told[""] = told[""] | leak_gains(told[""], told["_without"])
    for end, parts in told.items():
        for metric, part in parts.items():
            if isinstance(part, str):
                found.rows.append(note_row(metric + end, part))
                continue
            row, found.counts[metric + end] = measured.row(metric + end, *part)
            found.rows.append(row)
    return found


def appearance_rows(measured: Measured, seen: Arrays) -> dict[str, Any]:
    """Metric -> counts, ceiling, floor (or why there is no row), where the appearance is taken."""
    pairs, real, partner = measured.pairs, measured.real, measured.partner
    values = measured.values("looks")
    scored = measured.scored(values, "looks")
    found: dict[str, Any] = {"appearance_transfer": _TOO_RARE}
    if scored.columns.any():
        found["appearance_transfer"] = (
            measured.hits(values, seen["present"], scored),
            measured.hits(values, real["looks"]["present"], scored),
            measured.hits(values[partner], seen["present"], scored),
        )
    best = real["layouts"]
    found["layout_adherence"] = seen["target"], best["target"], seen["other_target"]
    found["layout_leak"] = (
        with_chance(seen, measured.asked_layouts),
        with_chance(best, measured.asked_layouts),
        all_of_it(
            metrics.mean_iou,
            measured.asked_layouts,
            measured.overlap(pairs.references[partner], pairs.references),
        ),
    )
    found["disputed_leak"] = seen["disputed"], best["disputed"], 1.0
    theirs = real["references"]["embedded"]
    level = real["looks"] if pairs.planted else real["targets"]
    found["identity_leak"] = (
        cosines(seen["embedded"], theirs),
        cosines(level["embedded"], theirs),
        1.0 if (same := same_person(measured)) is None else same,
    )
    if pairs.planted:
        found["truth_distance"] = (
            off(seen["off"]),
            off(real["looks"]["off"]),
            off(seen["off_other"]),
        )
    return found


def geometry_rows(measured: Measured, seen: Arrays) -> dict[str, Any]:
    """The same where the geometry is taken and the appearance is given as attributes."""
    pairs, real, partner = measured.pairs, measured.real, measured.partner
    best = real["mirrored_layouts"]
    found: dict[str, Any] = {
        "geometry_transfer": (seen["reference"], best["reference"], seen["other_reference"])
    }
    values, theirs = measured.values("mirrored_looks"), measured.values("references")
    scored = measured.scored(values, "mirrored_looks")
    found |= {"appearance_adherence": _TOO_RARE, "appearance_leak": _TOO_RARE}
    if scored.columns.any():
        shown = real["mirrored_looks"]["present"]
        found["appearance_adherence"] = (
            measured.hits(values, seen["present"], scored),
            measured.hits(values, shown, scored),
            measured.hits(values[partner], seen["present"], scored),
        )
        # Counted where all say something: what was asked for is the level without any leak.
        is_open = (values == UNSPECIFIED) | (theirs == UNSPECIFIED)
        is_open |= theirs[partner] == UNSPECIFIED
        both = [np.where(is_open, np.int8(UNSPECIFIED), each) for each in (theirs, theirs[partner])]

        def agreement(present: np.ndarray) -> np.ndarray:
            return np.stack([measured.hits(each, present, scored) for each in both], 1)

        asked = agreement(values == PRESENT)
        found["appearance_leak"] = (
            np.concatenate([agreement(seen["present"]), asked], 1),
            np.concatenate([agreement(shown), asked], 1),
            all_of_it(metrics.balanced_accuracy, asked, agreement(both[0] == PRESENT)[:, 1]),
        )
    if pairs.planted:
        best_off = off(real["mirrored_looks"]["off"])
        found["geometry_truth_distance"] = off(seen["off"]), best_off, off(seen["off_other"])
    return found


def both_rows(measured: Measured, seen: Arrays) -> dict[str, Any]:
    """The same where the geometry of the target and the appearance of the reference are taken."""
    real, partner = measured.real, measured.partner
    values = measured.values("looks")
    scored = measured.scored(values, "looks")
    found: dict[str, Any] = {
        "both_layout": (seen["target"], real["layouts"]["target"], seen["other_target"]),
        "both_appearance": _TOO_RARE,
    }
    if scored.columns.any():
        found["both_appearance"] = (
            measured.hits(values, seen["present"], scored),
            measured.hits(values, real["looks"]["present"], scored),
            measured.hits(values[partner], seen["present"], scored),
        )
    if measured.pairs.planted:
        best = off(real["looks"]["off"])
        found["both_truth_distance"] = off(seen["off"]), best, off(seen["off_other"])
    return found


def same_person(measured: Measured) -> float | None:
    """Mean cosine of two real faces of one person among those of the pairs; None where no person
    is known twice."""
    who, pairs = measured.folder.identities or {}, measured.pairs
    vectors: dict[str, dict[int, np.ndarray]] = {}
    for role in ("targets", "references"):
        for row, vector in zip(getattr(pairs, role), measured.real[role]["embedded"], strict=True):
            if (person := who.get(measured.folder.names[int(row)])) is not None:
                vectors.setdefault(person, {})[int(row)] = vector
    alike = [
        cosines(np.stack([first]), np.stack([second]))[0, 0]
        for faces in vectors.values()
        for place, first in enumerate(faces.values())
        for second in list(faces.values())[:place]
    ]
    return known(float(np.mean(alike))) if alike else None


_TOO_RARE = (
    f"no attribute of appearance has {metrics.MINIMUM_CASES} faces with it and as many without: "
    "use more rows (--n)"
)
