"""How often a classifier is right about one attribute, by the value that it states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from facecond.labels import ABSENT, PRESENT
from facecond.metrics.attributes import MINIMUM_CASES
from facecond.metrics.calibration import apply_platt, fit_platt

FOLDS = 5
LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Least confidences at which answers are counted."""


@dataclass(frozen=True)
class AttributeCalibration:
    """What the logits of one attribute are worth, found on labelled faces.

    Attributes:
        slope, offset: Platt scaling: P(present) = sigmoid(slope * logit + offset).
        present, absent: labelled faces with the attribute and without it. The probabilities hold
            where it is as common as among these.
        answers: int64 [2, L, 2]; for the stated value (`ABSENT`, `PRESENT`) and each of `LEVELS`,
            how many answers are at least so confident and how many of these are right. Each answer
            is scaled by a fit that has not seen its face.
    """

    slope: float
    offset: float
    present: int
    absent: int
    answers: np.ndarray

    @property
    def base_rate(self) -> float:
        """Share of the labelled faces that have the attribute."""
        return self.present / (self.present + self.absent)

    def answered(self, value: int, least: float) -> tuple[int, int]:
        """How many answers of this value are at least so confident, and how many are right; at
        the highest of `LEVELS` that does not lie above `least`."""
        level = sum(bound <= least for bound in LEVELS[1:])
        count, right = self.answers[value, level]
        return int(count), int(right)

    def keeps_its_word(self, value: int, least: float) -> bool:
        """Whether answers of this value that claim at least so much confidence bear it out."""
        count, right = self.answered(value, least)
        level = max(bound for bound in LEVELS if bound <= max(least, LEVELS[0]))
        return count >= MINIMUM_CASES and right >= level * count

    def as_json(self) -> dict[str, Any]:
        """JSON values: `slope`, `offset`, cases, and by stated value `[level, answers, right]`."""
        return {
            "slope": round(self.slope, 5),
            "offset": round(self.offset, 5),
            "present": self.present,
            "absent": self.absent,
            "base_rate": round(self.base_rate, 4),
            **{
                f"stated_{word}": [
                    [level, *map(int, pair)]
                    for level, pair in zip(LEVELS, self.answers[value], strict=True)
                ]
                for word, value in (("present", PRESENT), ("absent", ABSENT))
            },
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> AttributeCalibration:
        """What `as_json` gave.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        answers = np.zeros((2, len(LEVELS), 2), np.int64)
        for word, value in (("present", PRESENT), ("absent", ABSENT)):
            rows = told[f"stated_{word}"]
            if [row[0] for row in rows] != list(LEVELS):
                raise ValueError(f"other levels than {LEVELS}")
            answers[value] = [row[1:] for row in rows]
        numbers = float(told["slope"]), float(told["offset"])
        cases = int(told["present"]), int(told["absent"])
        if min(cases) < 0 or sum(cases) == 0 or not np.isfinite(numbers).all():
            raise ValueError("no faces counted")
        return cls(*numbers, *cases, answers)


def calibrate(logits: np.ndarray, present: np.ndarray) -> AttributeCalibration:
    """Calibrate one attribute on labelled faces: logits float [n], present bool [n]; n >= 1."""
    probability = cross_fitted(logits, present)
    confidence, stated = np.maximum(probability, 1 - probability), probability >= 0.5
    answers = np.zeros((2, len(LEVELS), 2), np.int64)
    for value in (ABSENT, PRESENT):
        for level, least in enumerate(LEVELS):
            chosen = (stated == bool(value)) & (confidence >= least)
            answers[value, level] = chosen.sum(), (present[chosen] == bool(value)).sum()
    slope, offset = fit_platt(logits, present)
    hits = int(present.sum())
    return AttributeCalibration(slope, offset, hits, len(present) - hits, answers)


def cross_fitted(logits: np.ndarray, present: np.ndarray) -> np.ndarray:
    """P(present) float [n] of each face by Platt scaling that was fitted to the others: the faces
    with the attribute and those without it are dealt out to `FOLDS` parts."""
    fold = np.empty(len(present), np.int64)
    for value in (False, True):
        faces = np.flatnonzero(present == value)
        fold[faces] = np.arange(len(faces)) % FOLDS
    probability = np.empty(len(present))
    for k in range(FOLDS):
        part, rest = fold == k, fold != k
        if part.any():
            probability[part] = apply_platt(logits[part], *fit_platt(logits[rest], present[rest]))
    return probability
