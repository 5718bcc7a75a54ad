"""Masks that a prepared folder lacks, from a parser that was checked on those it has."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from facecond.data.predicted import PredictedWriter
from facecond.data.prepared import PreparedFolder
from facecond.errors import UserError
from facecond.evaluation.inference import check_rows, parser_logits, rows_in_use
from facecond.evaluation.judges import Judge
from facecond.evaluation.mask_check import LEAST_IOU, LEAST_PRECISION, MaskCheck
from facecond.evaluation.rows import rounded
from facecond.labels import ANYTHING, MASK_CLASSES
from facecond.metrics.calibration import fit_temperature
from facecond.models.judges import FaceParser
from facecond.seeding import numpy_generator

CHECK_MASKS = 512
"""Most true masks that a parser is checked on."""
PIXELS_PER_FACE = 128
"""Pixels of each of them that the probabilities are fitted to."""
BETTER_PARSER = "Give a judge trained on faces of this kind and alignment."


def label_masks(
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
            "temperature": rounded(temperature),
            "bias": [rounded(value) for value in bias],
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
        raise UserError(f"{what}; {LEAST_IOU} is the least", judge.path, BETTER_PARSER)
    rows = rows_in_use(folder)
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
        "mean_confidence": rounded(np.mean(confidences)) if confidences else None,
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
