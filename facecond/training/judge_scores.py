"""How good a judge is on labelled faces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facecond.labels import ABSENT, ATTRIBUTES, MASK_CLASSES, PRESENT, UNSPECIFIED
from facecond.metrics import (
    MINIMUM_CASES,
    attribute_accuracy,
    attribute_counts,
    balanced_accuracy,
    class_iou,
    mask_counts,
    mean_iou,
)
from facecond.metrics.attribute_calibration import calibrate
from facecond.models.judges import AttributeClassifier, FaceParser
from facecond.training.judge_faces import Faces, FaceSource, pictures

PIXELS = 64 * 64 * 64
"""Of the pictures judged at a time: 64 of 64 px, 1 of 512 px."""


def score_parser(model: FaceParser, faces: FaceSource) -> dict[str, Any]:
    """`mask_miou`, and `per_class` IoU of the classes that occur."""
    counts = np.zeros((len(MASK_CLASSES), 2), np.int64)
    for part, logits in answers(model, faces):
        predicted = logits.argmax(1).to(torch.uint8)
        counts += mask_counts(part.masks.numpy(), predicted.numpy()).sum(0)
    per_class = _named(MASK_CLASSES, class_iou(counts))
    return {"mask_miou": round(float(mean_iou(counts)), 4), "per_class": per_class}


def score_classifier(model: AttributeClassifier, faces: FaceSource) -> dict[str, Any]:
    """`attribute_bacc`, and `per_attribute` balanced accuracy at the model's thresholds, of the
    attributes that it was trained on and that have enough cases."""
    return _attribute_scores(model, *_logits_and_truth(model, faces))


def choose_thresholds(model: AttributeClassifier, faces: FaceSource) -> dict[str, Any]:
    """Give the model the best thresholds on these faces; its scores with them."""
    logits, truth = _logits_and_truth(model, faces)
    trained = set(model.config["attributes"])
    thresholds = [
        best_threshold(logits[:, a], truth[:, a]) if name in trained else 0.0
        for a, name in enumerate(ATTRIBUTES)
    ]
    model.register_to_config(thresholds=thresholds)
    return _attribute_scores(model, logits, truth)


def calibrations(model: AttributeClassifier, faces: FaceSource) -> dict[str, Any]:
    """By attribute, of those in `per_attribute`: base rate on these faces, scale of the logits to
    probabilities, and how often each stated value is right (`AttributeCalibration`)."""
    logits, truth = _logits_and_truth(model, faces)
    scored = _attribute_scores(model, logits, truth)["per_attribute"]
    found = {}
    for a, name in enumerate(ATTRIBUTES):
        if name in scored:
            known = truth[:, a] != UNSPECIFIED
            found[name] = calibrate(logits[known, a], truth[known, a] == PRESENT).as_json()
    return found


def best_threshold(logits: np.ndarray, truth: np.ndarray) -> float:
    """The threshold on logits [N] with the highest balanced accuracy against truth int8 [N].

    Among equals the nearest to 0, where the loss puts it. 0 when either case is too rare to tell.
    """
    present, absent = np.sort(logits[truth == PRESENT]), np.sort(logits[truth == ABSENT])
    if min(len(present), len(absent)) < MINIMUM_CASES:
        return 0.0
    values = np.unique(np.concatenate([present, absent]))
    cuts = np.concatenate([[0.0], (values[1:] + values[:-1]) / 2])
    found = 1 - np.searchsorted(present, cuts, "right") / len(present)
    spared = np.searchsorted(absent, cuts, "right") / len(absent)
    scores = found + spared
    best = cuts[scores >= scores.max() - 1e-9]
    return round(float(best[np.argmin(np.abs(best))]), 5)


def _logits_and_truth(
    model: AttributeClassifier, faces: FaceSource
) -> tuple[np.ndarray, np.ndarray]:
    logits = torch.cat([part for _, part in answers(model, faces)]).numpy()
    return logits, faces.attributes.numpy()


def _attribute_scores(
    model: AttributeClassifier, logits: np.ndarray, truth: np.ndarray
) -> dict[str, Any]:
    trained = set(model.config["attributes"])
    truth = np.where([name in trained for name in ATTRIBUTES], truth, UNSPECIFIED)
    thresholds = np.array(model.config["thresholds"], np.float32)
    counts = attribute_counts(truth, logits > thresholds).sum(0)
    per_attribute = _named(ATTRIBUTES, attribute_accuracy(counts, MINIMUM_CASES))
    score = float(balanced_accuracy(counts, MINIMUM_CASES))
    return {
        "attribute_bacc": round(score, 4) if np.isfinite(score) else None,
        "per_attribute": per_attribute,
    }


@torch.inference_mode()
def answers(
    model: FaceParser | AttributeClassifier,
    faces: FaceSource,
    view: Callable[[Faces], Tensor] = pictures,
) -> Iterator[tuple[Faces, Tensor]]:
    """Faces and float32 logits of the model in evaluation mode, batch by batch, on the CPU."""
    was_training = model.training
    model.eval()
    side = faces.folder.image_size
    batch = min(max(PIXELS // side**2, 1), 64)
    for start in range(0, len(faces), batch):
        part = faces[np.arange(start, min(start + batch, len(faces)))]
        yield part, model(view(part.to(model.device))).float().cpu()
    model.train(was_training)


def _named(names: tuple[str, ...], values: np.ndarray) -> dict[str, float]:
    return {n: round(float(v), 4) for n, v in zip(names, values, strict=True) if np.isfinite(v)}
