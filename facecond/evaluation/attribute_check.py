"""May a classifier label these faces? Its answers against the true attributes of the folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from facecond.labels import ATTRIBUTES, PRESENT, UNSPECIFIED
from facecond.metrics import MINIMUM_CASES, attribute_accuracy, attribute_counts
from facecond.metrics.calibration import apply_platt, calibration_error, fit_platt
from facecond.seeding import numpy_generator

LEAST_ACCURACY = 0.6
"""An attribute read with less balanced accuracy than this is left out; 0.5 is guessing."""
FOLDS, DRAWS = 5, 500


@dataclass(frozen=True)
class AttributeCheck:
    """How well a classifier reads each attribute, and what its logits are worth here.

    Attributes:
        accuracy: float [40]; balanced accuracy, NaN where nothing is known about it.
        low, high: float [40]; 95 % bootstrap interval, NaN unless `by_folder`.
        cases: int [40, 2]; faces with the attribute and without it.
        by_folder: bool [40]; checked on true attributes of the folder. Where the folder can check
            none of them, `accuracy` is the judge's own figure for faces as it was trained on.
        used: bool [40]; whether the judge labels this attribute.
        slope, offset: float [40]; Platt scaling, NaN unless `by_folder`.
        error: expected calibration error of the scaled answers, cross-fitted over `FOLDS` parts.
        confidence, right: mean confidence and share of right answers, cross-fitted alike.
    """

    accuracy: np.ndarray
    low: np.ndarray
    high: np.ndarray
    cases: np.ndarray
    by_folder: np.ndarray
    used: np.ndarray
    slope: np.ndarray
    offset: np.ndarray
    error: float
    confidence: float
    right: float

    def answers(self, logits: np.ndarray, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logits [n, 40] -> the likelier value, int8 [n, 40] with -1 where the judge is not used,
        and the probability that it is right, float [n, 40].

        Where the folder could check nothing, the judge's thresholds decide, and the confidence is
        the judge's own balanced accuracy.
        """
        probability = apply_platt(logits, self.slope, self.offset)  # NaN unless by_folder
        present = np.where(self.by_folder, probability >= 0.5, logits > thresholds)
        constant = np.broadcast_to(self.accuracy, logits.shape)
        confidence = np.where(self.by_folder, np.abs(probability - 0.5) + 0.5, constant)
        values = np.where(self.used, present, UNSPECIFIED).astype(np.int8)
        return values, np.where(self.used, confidence, 0.0)


def check_attributes(
    logits: np.ndarray,
    truth: np.ndarray,
    thresholds: np.ndarray,
    trained: np.ndarray,
    own: Mapping[str, float],
) -> AttributeCheck:
    """Check a classifier on true attributes.

    Args:
        logits: float [n, 40].
        truth: int8 [n, 40]; -1 where not known.
        thresholds: float [40]; a logit above it says present.
        trained: bool [40]; which columns of the logits mean something.
        own: balanced accuracy by attribute on the judge's own validation faces.
    """
    counts = attribute_counts(truth, logits > thresholds)  # [n, 40, 4]
    accuracy = attribute_accuracy(counts.sum(0), MINIMUM_CASES)
    by_folder = trained & np.isfinite(accuracy)
    low, high, slope, offset = np.full((4, len(ATTRIBUTES)), np.nan)
    if by_folder.any():
        low[by_folder], high[by_folder] = _intervals(counts[:, by_folder])
    for a in np.flatnonzero(by_folder):
        known = truth[:, a] != UNSPECIFIED
        slope[a], offset[a] = fit_platt(logits[known, a], truth[known, a] == PRESENT)
    accuracy = np.where(by_folder, accuracy, np.nan)
    if not by_folder.any():
        told = np.array([own.get(name, np.nan) for name in ATTRIBUTES])
        accuracy = np.where(trained, told, np.nan)
    enough = np.nan_to_num(accuracy) >= LEAST_ACCURACY
    used = enough & (~by_folder | (np.nan_to_num(low) > 0.5))
    confidence, right = _cross_fitted(logits, truth, by_folder & used)
    return AttributeCheck(
        accuracy=accuracy,
        low=low,
        high=high,
        cases=counts.sum(0)[:, [1, 3]],
        by_folder=by_folder,
        used=used,
        slope=slope,
        offset=offset,
        error=calibration_error(confidence, right),
        confidence=float(confidence.mean()) if len(confidence) else float("nan"),
        right=float(right.mean()) if len(right) else float("nan"),
    )


def _intervals(counts: np.ndarray) -> np.ndarray:
    """Percentile bootstrap over faces: counts int64 [n, A, 4] -> low and high, float [2, A]."""
    faces = len(counts)
    generator = numpy_generator(0, "label", "bootstrap")
    weights = generator.multinomial(faces, np.full(faces, 1 / faces), size=DRAWS).astype(float)
    drawn = (weights @ counts.reshape(faces, -1).astype(float)).reshape(DRAWS, -1, 4)
    return np.nanquantile(attribute_accuracy(np.rint(drawn)), [0.025, 0.975], axis=0)


def _cross_fitted(
    logits: np.ndarray, truth: np.ndarray, columns: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Confidence and rightness of all answers, each scaled by a fit that has not seen its face."""
    confidence, right = [np.empty(0)], [np.empty(0, bool)]
    fold = np.arange(len(logits)) % FOLDS
    for a in np.flatnonzero(columns):
        known = truth[:, a] != UNSPECIFIED
        present = truth[:, a] == PRESENT
        for k in range(FOLDS):
            fit, part = known & (fold != k), known & (fold == k)
            probability = apply_platt(logits[part, a], *fit_platt(logits[fit, a], present[fit]))
            confidence.append(np.abs(probability - 0.5) + 0.5)
            right.append((probability >= 0.5) == present[part])
    return np.concatenate(confidence), np.concatenate(right)
