"""Attributes that a prepared folder lacks, from a classifier that was checked on those it has, or
else on its own held-out faces."""

from __future__ import annotations

from typing import Any

import numpy as np

from facecond.data.predicted import PredictedWriter
from facecond.data.prepared import PreparedFolder
from facecond.errors import UserError
from facecond.evaluation.attribute_check import (
    LEAST_ACCURACY,
    AttributeCheck,
    GivenLabels,
    check_attributes,
)
from facecond.evaluation.inference import attribute_logits, check_rows, rows_in_use
from facecond.evaluation.judges import Judge
from facecond.evaluation.rows import rounded
from facecond.labels import ABSENT, ATTRIBUTES, PRESENT, UNSPECIFIED
from facecond.models.judges import AttributeClassifier

BETTER_CLASSIFIER = "Give a judge trained on faces of this kind and alignment."
TRAIN_ANEW = "Train it anew with `facecond train judge attributes`."
BY_FOLDER = "true attributes of the folder, without its test split"
BY_JUDGE = (
    "the judge's own held-out faces: it holds for faces of that kind among which the attribute is "
    "as common"
)
WEAK = "read too weakly"
ONE_VALUE = "not both of its values are read surely"


def label_attributes(
    folder: PreparedFolder,
    judge: Judge[AttributeClassifier],
    writer: PredictedWriter,
    min_confidence: float,
    progress: bool,
) -> dict[str, Any]:
    """Label the attributes; returns the section of the manifest."""
    thresholds = np.array(judge.model.config["thresholds"], np.float32)
    trained = np.array([name in set(judge.model.config["attributes"]) for name in ATTRIBUTES])
    known = folder.attributes != UNSPECIFIED
    checked = check_rows(folder, known.any(1), judge.scores)
    check = _check(folder, checked, judge, thresholds, trained, progress)
    rows = rows_in_use(folder)
    rows = rows[(~known[rows] & check.used).any(1)]
    logits = attribute_logits(folder, rows, judge, "attributes", progress)
    labels = check.answers(logits, min_confidence, ~known[rows])
    all_values = np.full(folder.attributes.shape, UNSPECIFIED, np.int8)
    all_confidence = np.zeros(folder.attributes.shape, np.float32)
    all_values[rows], all_confidence[rows] = labels.values, labels.confidence
    writer.set_attributes(all_values, all_confidence)
    read = check.probabilities(logits)
    return {
        **judge.described(),
        "min_confidence": min_confidence,
        "least_accuracy": LEAST_ACCURACY,
        "faces_checked": len(checked),
        "faces_filled": len(rows),
        "calibration": {
            "source": BY_FOLDER if check.by_folder.any() else BY_JUDGE,
            "error": rounded(check.error),
            "mean_confidence": rounded(check.confidence),
            "share_right": rounded(check.right),
        },
        "per_attribute": {
            name: _described(check, a, min_confidence, labels, read[~known[rows, a], a])
            for a, name in enumerate(ATTRIBUTES)
            if trained[a]
        },
    }


def _check(
    folder: PreparedFolder,
    rows: np.ndarray,
    judge: Judge[AttributeClassifier],
    thresholds: np.ndarray,
    trained: np.ndarray,
    progress: bool,
) -> AttributeCheck:
    """The check on true attributes of these rows; raises `UserError` where it leaves nothing."""
    logits = attribute_logits(folder, rows, judge, "check attributes", progress)
    try:
        check = check_attributes(logits, folder.attributes[rows], thresholds, trained, judge.scores)
    except (KeyError, TypeError, ValueError) as error:
        what = f"'calibration' is damaged ({' '.join(str(error).split())[:80]})"
        raise UserError(what, judge.path / "scores.json", TRAIN_ANEW) from None
    if check.used.any():
        return check
    if not any(check.calibrations):
        what = (
            "no true attributes to check this judge on, and no scores.json that tells how often "
            "its values are right"
        )
        raise UserError(what, judge.path, TRAIN_ANEW)
    what = f"reads no attribute of {folder.root} with a balanced accuracy of {LEAST_ACCURACY}"
    raise UserError(what, judge.path, BETTER_CLASSIFIER)


def _described(
    check: AttributeCheck,
    attribute: int,
    least: float,
    labels: GivenLabels,
    read: np.ndarray,
) -> dict[str, Any]:
    """What was found on an attribute and made of it, as JSON values; `read` is P(present) of the
    faces without truth, [m]."""
    calibration = check.calibrations[attribute]
    read_well, one_sided = bool(check.used[attribute]), bool(labels.one_sided[attribute])
    values = labels.values[:, attribute]
    given = values != UNSPECIFIED
    told: dict[str, Any] = {
        "accuracy": rounded(check.accuracy[attribute]),
        "low": rounded(check.low[attribute]),
        "high": rounded(check.high[attribute]),
        "present": int(check.cases[attribute, 0]),
        "absent": int(check.cases[attribute, 1]),
        "checked_on": "folder" if check.by_folder[attribute] else "judge",
        "used": read_well and not one_sided,
        "left_open": ONE_VALUE if one_sided else None if read_well else WEAK,
        "filled": int(given.sum()),
        "filled_present": int((values == PRESENT).sum()),
        "mean_confidence": rounded(labels.confidence[given, attribute].mean())
        if given.any()
        else None,
    }
    if calibration is None:
        return told | {"slope": None, "offset": None}
    return told | {
        "slope": rounded(calibration.slope),
        "offset": rounded(calibration.offset),
        "base_rate": rounded(calibration.base_rate),
        "read_rate": rounded(read.mean()) if read_well and len(read) else None,
        # Of the labelled faces: answers at least so certain, and how many of them are right.
        "stated_present": list(calibration.answered(PRESENT, least)),
        "stated_absent": list(calibration.answered(ABSENT, least)),
    }
