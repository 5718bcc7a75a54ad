"""Judges -> the labels that a prepared folder lacks, each with the probability that it is right.

A judge is checked on the truth that the folder holds before it labels anything: attributes and
mask classes that it reads no better than a stated bound stay open.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from facecond.data.predicted import PredictedWriter, read_predicted, write_predicted
from facecond.data.prepared import SPLITS, PreparedFolder
from facecond.errors import UserError
from facecond.evaluation.attribute_check import LEAST_ACCURACY, check_attributes
from facecond.evaluation.inference import attribute_logits, check_rows, parser_logits
from facecond.evaluation.judges import Judge
from facecond.evaluation.mask_check import LEAST_IOU, LEAST_PRECISION, MaskCheck
from facecond.labels import ANYTHING, ATTRIBUTES, MASK_CLASSES, PRESENT, UNSPECIFIED
from facecond.metrics.calibration import fit_temperature
from facecond.models.judges import AttributeClassifier, FaceParser
from facecond.provenance import commit, versions
from facecond.seeding import numpy_generator
from facecond.storage import read_json

MIN_CONFIDENCE = 0.8
"""Least confidence of an attribute that is filled in.

A wrong label teaches the denoiser to ignore the condition; an open one teaches nothing, and open
attributes are a normal state of training. At 0.8 a value is wrong at most one time in five.
"""
CHECK_MASKS = 512
"""Most true masks that a parser is checked on."""
PIXELS_PER_FACE = 128
"""Pixels of each of them that the probabilities are fitted to."""
BETTER_JUDGE = "Give a judge trained on faces of this kind and alignment."


def label_folder(
    folder: PreparedFolder,
    parser: Judge[FaceParser] | None = None,
    classifier: Judge[AttributeClassifier] | None = None,
    *,
    min_confidence: float = MIN_CONFIDENCE,
    progress: bool = True,
) -> dict[str, Any]:
    """Fill what is missing in a prepared folder; writes its `predicted/`.

    Args:
        folder: opened with the true labels alone.
        parser: a `FaceParser`, for faces without mask; without one, earlier predicted masks stay.
        classifier: an `AttributeClassifier`, for attributes that are unspecified; without one,
            earlier predicted attributes stay.
        min_confidence: attributes less certain than this stay unspecified.

    Returns:
        The manifest written, without its list of files.

    Raises:
        UserError: a judge reads nothing of these faces well enough; then nothing is written.
    """
    if folder.attribute_predicted.any() or folder.mask_predicted.any():
        raise ValueError("open the folder with labels='true'")
    earlier = None if parser and classifier else read_predicted(folder)
    with write_predicted(folder) as writer:
        writer.details |= {"commit": commit(), "versions": versions()}
        if classifier:
            writer.details["attributes"] = _attributes(
                folder, classifier, writer, min_confidence, progress
            )
        elif earlier and "attributes" in earlier.manifest:
            writer.set_attributes(earlier.attributes, earlier.confidence)
            writer.details["attributes"] = earlier.manifest["attributes"]
        if parser:
            writer.details["masks"] = _masks(folder, parser, writer, progress)
        elif earlier and "masks" in earlier.manifest:
            writer.keep_masks(earlier)
            writer.details["masks"] = earlier.manifest["masks"]
    written = read_json(folder.root / "predicted" / "manifest.json")
    return {key: value for key, value in written.items() if key != "files"}


def _attributes(
    folder: PreparedFolder,
    judge: Judge[AttributeClassifier],
    writer: PredictedWriter,
    min_confidence: float,
    progress: bool,
) -> dict[str, Any]:
    """Label the attributes; returns the section of the manifest."""
    model = judge.model
    thresholds = np.array(model.config["thresholds"], np.float32)
    trained = np.array([name in set(model.config["attributes"]) for name in ATTRIBUTES])
    known = folder.attributes != UNSPECIFIED
    checked = check_rows(folder, known.any(1), judge.scores)
    check = check_attributes(
        attribute_logits(folder, checked, judge, "check attributes", progress),
        folder.attributes[checked],
        thresholds,
        trained,
        judge.scores.get("per_attribute", {}),
    )
    if not check.used.any() and not np.isfinite(check.accuracy).any():
        what = "no true attributes to check this judge on, and no scores.json that tells its own"
        raise UserError(what, judge.path, "Train it with `facecond train judge attributes`.")
    if not check.used.any():
        what = f"reads no attribute of {folder.root} with a balanced accuracy of {LEAST_ACCURACY}"
        raise UserError(what, judge.path, BETTER_JUDGE)
    rows = _rows(folder)
    rows = rows[(~known[rows] & check.used).any(1)]
    values, confidence = check.answers(
        attribute_logits(folder, rows, judge, "attributes", progress), thresholds
    )
    given = ~known[rows] & check.used & (confidence >= min_confidence)
    all_values = np.full(folder.attributes.shape, UNSPECIFIED, np.int8)
    all_confidence = np.zeros(folder.attributes.shape, np.float32)
    all_values[rows] = np.where(given, values, UNSPECIFIED)
    all_confidence[rows] = np.where(given, confidence, 0.0)
    writer.set_attributes(all_values, all_confidence)
    present = given & (values == PRESENT)
    return {
        **judge.described(),
        "min_confidence": min_confidence,
        "least_accuracy": LEAST_ACCURACY,
        "faces_checked": len(checked),
        "faces_filled": len(rows),
        "calibration": {
            "source": "true attributes of the folder, without its test split"
            if check.by_folder.any()
            else "the judge's own validation",
            "error": _number(check.error),
            "mean_confidence": _number(check.confidence),
            "share_right": _number(check.right),
        },
        "per_attribute": {
            name: {
                "accuracy": _number(check.accuracy[a]),
                "low": _number(check.low[a]),
                "high": _number(check.high[a]),
                "present": int(check.cases[a, 0]),
                "absent": int(check.cases[a, 1]),
                "checked_on": "folder" if check.by_folder[a] else "judge",
                "used": bool(check.used[a]),
                "slope": _number(check.slope[a]),
                "offset": _number(check.offset[a]),
                "filled": int(given[:, a].sum()),
                "filled_present": int(present[:, a].sum()),
                "mean_confidence": _number(confidence[given[:, a], a].mean())
                if given[:, a].any()
                else None,
            }
            for a, name in enumerate(ATTRIBUTES)
            if trained[a]
        },
    }


def _masks(
    folder: PreparedFolder, judge: Judge[FaceParser], writer: PredictedWriter, progress: bool
) -> dict[str, Any]:
    """Label the masks; returns the section of the manifest."""
    checked = check_rows(folder, folder.has_mask, judge.scores)
    order = numpy_generator(0, "label", "masks").permutation(len(checked))
    checked = np.sort(checked[order[:CHECK_MASKS]])
    section: dict[str, Any] = judge.described()
    temperature, bias = 1.0, np.zeros(len(MASK_CLASSES))
    if len(checked):
        seen, true = _pixels(folder, checked, judge, progress)
        temperature, bias = fit_temperature(seen, true)
        section["calibration"] = {
            "source": "true masks of the folder, without its test split",
            "temperature": _number(temperature),
            "bias": [_number(value) for value in bias],
        }

    def answers(logits: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [B, 19, S, S] -> the likeliest class of each pixel and its probability."""
        shift = torch.from_numpy(bias).to(logits)[:, None, None]
        sure, masks = (logits / temperature + shift).softmax(1).max(1)  # [B, S, S]
        return masks.to(torch.uint8), sure

    check = MaskCheck()
    for part, logits in parser_logits(folder, checked, judge, "check masks", progress):
        masks, sure = answers(logits)
        truth = np.stack([folder.mask(int(row)) for row in part])
        check.add(truth, masks.cpu().numpy(), sure.cpu().numpy())
    if check.miou < LEAST_IOU or not check.used.any():
        what = f"reads the masks of {folder.root} with a mean IoU of {check.miou:.2f}"
        raise UserError(f"{what}; {LEAST_IOU} is the least", judge.path, BETTER_JUDGE)
    rows = _rows(folder)
    rows = rows[~folder.has_mask[rows]]
    used, confidences = torch.from_numpy(check.used), []
    for part, logits in parser_logits(folder, rows, judge, "masks", progress):
        masks, sure = answers(logits)
        given = used.to(masks.device)[masks.long()]
        mean = (sure * given).sum((1, 2)) / given.sum((1, 2)).clamp(min=1)
        filled = torch.where(given, masks, ANYTHING).to(torch.uint8).cpu().numpy()
        for row, mask, confidence in zip(part, filled, mean.tolist(), strict=True):
            writer.add_mask(folder.names[row], mask, confidence)
            confidences.append(confidence)
    return section | {
        "least_iou": LEAST_IOU,
        "least_precision": LEAST_PRECISION,
        "check": check.summary(),
        "faces_filled": len(rows),
        "mean_confidence": _number(np.mean(confidences)) if confidences else None,
    }


def _pixels(
    folder: PreparedFolder, rows: np.ndarray, judge: Judge[FaceParser], progress: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The parser's logits float [P, 19] at random pixels, and their true classes uint8 [P]."""
    generator = numpy_generator(0, "label", "pixels")
    seen, true = [], []
    for part, logits in parser_logits(folder, rows, judge, "calibrate masks", progress):
        truth = np.stack([folder.mask(int(row)).reshape(-1) for row in part])  # [B, S * S]
        places = generator.integers(0, truth.shape[1], (len(part), PIXELS_PER_FACE))
        at = torch.from_numpy(places).to(logits.device)[:, None].expand(-1, logits.shape[1], -1)
        seen.append(logits.flatten(2).gather(2, at).movedim(1, 2).flatten(0, 1).cpu().numpy())
        true.append(np.take_along_axis(truth, places, 1).reshape(-1))
    values, classes = np.concatenate(seen), np.concatenate(true)
    return values[classes != ANYTHING], classes[classes != ANYTHING]


def _rows(folder: PreparedFolder) -> np.ndarray:
    """All rows that are in use, in the order of the folder."""
    there = [folder.indices(split) for split in SPLITS if (folder.splits == split).any()]
    return np.sort(np.concatenate(there))


def _number(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None
