"""May a parser label these faces? Its masks against the true masks of the folder."""

from __future__ import annotations

from typing import Any

import numpy as np

from facecond.evaluation.rows import rounded
from facecond.labels import ANYTHING, MASK_CLASSES
from facecond.metrics import MINIMUM_CASES, bootstrap_interval, class_iou, mask_counts, mean_iou

LEAST_IOU = 0.2
"""A parser with a lower mean IoU labels nothing; calling all pixels one class has about 0.03."""
LEAST_PRECISION = 0.5
"""A mask class is left open when fewer than this share of the pixels called so are right."""


class MaskCheck:
    """How well a parser reads true masks; they come in batches.

    Attributes:
        called, right: int64 [19]; pixels called so, and how many of them are.
        faces: int64 [19]; faces with a pixel called so.
    """

    def __init__(self) -> None:
        self.called, self.right, self.faces = np.zeros((3, len(MASK_CLASSES)), np.int64)
        self._counts: list[np.ndarray] = []
        self._sure = 0.0

    def add(self, truth: np.ndarray, predicted: np.ndarray, confidence: np.ndarray) -> None:
        """True masks uint8 [B, H, W] (255 counts nowhere), predicted ones, float [B, H, W]."""
        counts = mask_counts(truth, predicted)  # [B, 19, 2]
        self._counts.append(counts)
        self._sure += float(confidence[truth != ANYTHING].sum())
        self.right += counts[..., 0].sum(0)
        for k in range(len(MASK_CLASSES)):
            called = (predicted == k) & (truth != ANYTHING)
            self.called[k] += called.sum()
            self.faces[k] += called.any((1, 2)).sum()

    @property
    def precision(self) -> np.ndarray:
        """Share of the pixels called so that are right, float [19]; NaN where too few faces."""
        called = self.called.astype(float)
        known = (self.faces >= MINIMUM_CASES) & (called > 0)
        return np.divide(self.right, called, out=np.full_like(called, np.nan), where=known)

    @property
    def used(self) -> np.ndarray:
        """bool [19]; classes that the parser may give. Without true masks: all."""
        if not self._counts:
            return np.ones(len(MASK_CLASSES), bool)
        return np.nan_to_num(self.precision) >= LEAST_PRECISION

    @property
    def miou(self) -> float:
        """Mean IoU; NaN without true masks."""
        return float(mean_iou(np.concatenate(self._counts).sum(0))) if self._counts else np.nan

    def summary(self) -> dict[str, Any]:
        """Scores as JSON values; empty without true masks."""
        if not self._counts:
            return {}
        counts = np.concatenate(self._counts)
        interval = bootstrap_interval(counts, mean_iou)
        iou, precision, used = class_iou(counts.sum(0)), self.precision, self.used
        pixels = max(int(self.called.sum()), 1)
        return {
            "faces": len(counts),
            "mask_miou": round(self.miou, 4),
            "low": round(interval.low, 4),
            "high": round(interval.high, 4),
            "pixel_accuracy": round(float(self.right.sum() / pixels), 4),
            "mean_confidence": round(self._sure / pixels, 4),
            "per_class": {
                name: {
                    "iou": rounded(iou[k]),
                    "precision": rounded(precision[k]),
                    "faces": int(self.faces[k]),
                    "used": bool(used[k]),
                }
                for k, name in enumerate(MASK_CLASSES)
            },
        }
