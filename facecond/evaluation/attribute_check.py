"""May a classifier label these faces, and with which values? Its answers against true attributes:
those of the folder, or where it has none, those of the judge's own held-out faces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from facecond.labels import ABSENT, ATTRIBUTES, PRESENT, UNSPECIFIED
from facecond.metrics import MINIMUM_CASES, attribute_accuracy, attribute_counts
from facecond.metrics.attribute_calibration import (
    AttributeCalibration,
    calibrate,
    cross_fitted,
)
from facecond.metrics.calibration import apply_platt, calibration_error
from facecond.seeding import numpy_generator

LEAST_ACCURACY = 0.6
"""An attribute read with less balanced accuracy than this is left out; 0.5 is guessing."""
NEGLIGIBLE = 0.02
"""A value that fewer faces have than this share may be missing among the labels."""
ONE_SIDED = 0.1
"""Labels are one-sided when a value makes up less than this share of its base rate among them."""
FEW_EXPECTED = 20
"""So many labels of a value must be expected for their absence to mean something."""
DRAWS = 500


@dataclass(frozen=True)
class GivenLabels:
    """Labels for faces that lack them.

    Attributes:
        values: int8 [n, 40]; the likelier value where it is certain enough, else -1.
        confidence: float [n, 40]; the probability that it is right, else 0.
        one_sided: bool [40]; attributes left open because labels of one value only would be given.
    """

    values: np.ndarray
    confidence: np.ndarray
    one_sided: np.ndarray


@dataclass(frozen=True)
class AttributeCheck:
    """How well a classifier reads each attribute, and what its logits are worth here.

    Attributes:
        accuracy: float [40]; balanced accuracy, NaN where nothing is known about it.
        low, high: float [40]; 95 % bootstrap interval, NaN unless `by_folder`.
        cases: int [40, 2]; faces with the attribute and without it.
        by_folder: bool [40]; checked on true attributes of the folder. Where the folder can check
            none of them, accuracy and calibrations are the judge's own, of its held-out faces.
        used: bool [40]; whether the attribute is read well enough to be labelled at all.
        calibrations: 40; None where there is none.
        error: expected calibration error of the answers on the folder, each scaled by a fit that
            has not seen its face; NaN without them.
        confidence, right: their mean confidence and the share of them that is right.
    """

    accuracy: np.ndarray
    low: np.ndarray
    high: np.ndarray
    cases: np.ndarray
    by_folder: np.ndarray
    used: np.ndarray
    calibrations: Sequence[AttributeCalibration | None]
    error: float
    confidence: float
    right: float

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Logits [n, 40] -> P(present) float [n, 40], NaN where the judge is not used."""
        found = np.full(logits.shape, np.nan)
        for a, calibration in enumerate(self.calibrations):
            if self.used[a] and calibration is not None:
                found[:, a] = apply_platt(logits[:, a], calibration.slope, calibration.offset)
        return found

    def values_to_give(self, attribute: int, least: float) -> tuple[int, ...]:
        """Which values of an attribute may be given with at least so much confidence.

        Those whose confidence the labelled faces bear out. None where a value that is not rare
        would be missing, or almost: labels that all say "absent" tell nothing, and hide the faces
        that have the attribute.
        """
        calibration = self.calibrations[attribute]
        if not self.used[attribute] or calibration is None:
            return ()
        answered = {v: calibration.answered(v, least)[0] for v in (ABSENT, PRESENT)}
        kept = [v for v in answered if calibration.keeps_its_word(v, least)]
        for value, rate in _rates(calibration).items():
            rare = answered[value] < ONE_SIDED * rate * sum(answered.values())
            if rate > NEGLIGIBLE and (value not in kept or rare):
                return ()
        return tuple(kept)

    def answers(self, logits: np.ndarray, least: float, wanted: np.ndarray) -> GivenLabels:
        """The labels to give.

        Args:
            logits: float [n, 40].
            least: least confidence.
            wanted: bool [n, 40]; where a label is missing.
        """
        probability = self.probabilities(logits)
        present, confidence = probability >= 0.5, np.abs(probability - 0.5) + 0.5
        given, one_sided = wanted & (confidence >= least), np.zeros(len(ATTRIBUTES), bool)
        for a, calibration in enumerate(self.calibrations):
            if not self.used[a] or calibration is None:
                given[:, a] = False
                continue
            allowed = [bool(value) for value in self.values_to_give(a, least)]
            given[:, a] &= np.isin(present[:, a], allowed)
            one_sided[a] = not allowed or _is_one_sided(present[given[:, a], a], calibration)
        given &= ~one_sided
        values = np.where(given, present, UNSPECIFIED).astype(np.int8)
        return GivenLabels(values, np.where(given, confidence, 0.0), one_sided)


def check_attributes(
    logits: np.ndarray,
    truth: np.ndarray,
    thresholds: np.ndarray,
    trained: np.ndarray,
    scores: Mapping[str, Any],
) -> AttributeCheck:
    """Check a classifier on true attributes.

    Args:
        logits: float [n, 40].
        truth: int8 [n, 40]; -1 where not known.
        thresholds: float [40]; a logit above it says present.
        trained: bool [40]; which columns of the logits mean something.
        scores: the judge's own scores.json: its `per_attribute` and `calibration` stand where the
            folder can check nothing.

    Raises:
        KeyError, TypeError, ValueError: `calibration` in `scores` is damaged.
    """
    counts = attribute_counts(truth, logits > thresholds)  # [n, 40, 4]
    accuracy = attribute_accuracy(counts.sum(0), MINIMUM_CASES)
    by_folder = trained & np.isfinite(accuracy)
    accuracy = np.where(by_folder, accuracy, np.nan)
    low, high = np.full((2, len(ATTRIBUTES)), np.nan)
    calibrations: list[AttributeCalibration | None] = [None] * len(ATTRIBUTES)
    if by_folder.any():
        low[by_folder], high[by_folder] = _intervals(counts[:, by_folder])
        for a in np.flatnonzero(by_folder).tolist():
            known = truth[:, a] != UNSPECIFIED
            calibrations[a] = calibrate(logits[known, a], truth[known, a] == PRESENT)
    else:
        own, told = scores.get("per_attribute", {}), scores.get("calibration", {})
        for a, name in enumerate(ATTRIBUTES):
            if trained[a] and name in own:
                accuracy[a] = own[name]
                if name in told:
                    calibrations[a] = AttributeCalibration.from_json(told[name])
    enough = np.nan_to_num(accuracy) >= LEAST_ACCURACY
    calibrated = np.array([found is not None for found in calibrations])
    used = enough & calibrated & (~by_folder | (np.nan_to_num(low) > 0.5))
    confidence, right = _cross_fitted(logits, truth, by_folder & used)
    return AttributeCheck(
        accuracy=accuracy,
        low=low,
        high=high,
        cases=counts.sum(0)[:, [1, 3]],
        by_folder=by_folder,
        used=used,
        calibrations=calibrations,
        error=calibration_error(confidence, right),
        confidence=float(confidence.mean()) if len(confidence) else float("nan"),
        right=float(right.mean()) if len(right) else float("nan"),
    )


def _rates(calibration: AttributeCalibration) -> dict[int, float]:
    """Base rate of each value."""
    return {ABSENT: 1 - calibration.base_rate, PRESENT: calibration.base_rate}


def _is_one_sided(present: np.ndarray, calibration: AttributeCalibration) -> bool:
    """Whether labels bool [n] lack a value that is to be expected among them."""
    for value, rate in _rates(calibration).items():
        expected, found = rate * len(present), int((present == bool(value)).sum())
        if rate > NEGLIGIBLE and expected >= FEW_EXPECTED and found < ONE_SIDED * expected:
            return True
    return False


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
    for a in np.flatnonzero(columns):
        known = truth[:, a] != UNSPECIFIED
        present = truth[known, a] == PRESENT
        probability = cross_fitted(logits[known, a], present)
        confidence.append(np.maximum(probability, 1 - probability))
        right.append((probability >= 0.5) == present)
    return np.concatenate(confidence), np.concatenate(right)
