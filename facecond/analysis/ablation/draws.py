"""Scores of a run on draws of its images, from the counts that its evaluation kept.

The draws are a function of (seed, number of images), so they are the same for all runs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from facecond import metrics
from facecond.evaluation.generation import Arrays
from facecond.evaluation.reference_scores import SCORES
from facecond.evaluation.selectivity import off_target
from facecond.seeding import numpy_generator

DRAWS, FEW_DRAWS = 1000, 200
"""Draws of images; fewer for scores that are not sums."""


def image_draws(counts: Arrays, metric: str, seed: int) -> np.ndarray | None:
    """Scores [B] of `metric` on B draws of images; None where the counts do not hold it."""
    if f"taken_{metric}" in counts:
        return _summed(counts[f"taken_{metric}"], SCORES[metric.removesuffix("_without")], seed)
    makers: dict[str, tuple[str, Callable[[Arrays, int], np.ndarray]]] = {
        "mask_miou": ("mask", _mask_miou),
        "pixel_accuracy": ("pixels", _pixel_accuracy),
        "attribute_bacc": ("present", _attribute_bacc),
        "attribute_f1": ("present", _attribute_f1),
        "frechet_judge": ("reference_mean", _frechet),
        "attribute_effect": ("turned_change", _effect),
        "off_target_effect": ("turned_change", _off_target),
        "mask_stability": ("turned_masks", _mask_stability),
    }
    if metric.startswith("diversity_"):
        return (
            _summed(counts["diversity"], metrics.ratio_of_sums, seed)
            if ("diversity" in counts)
            else None
        )
    needed, make = makers.get(metric, ("", _mask_miou))
    return make(counts, seed) if needed in counts else None


def picks_of(images: int, draws: int, seed: int) -> np.ndarray:
    """Images of each draw, int64 [draws, images]."""
    return numpy_generator(seed, "ablation", "images", images).integers(
        images, size=(draws, images)
    )


def _summed(counts: np.ndarray, score: Callable[[np.ndarray], np.ndarray], seed: int) -> np.ndarray:
    """Scores of summed counts: `counts` [n, ...], `score`: [B, ...] -> [B]."""
    images = len(counts)
    picks = picks_of(images, DRAWS, seed)
    weights = np.stack([np.bincount(pick, minlength=images) for pick in picks]).astype(float)
    sums = weights @ counts.reshape(images, -1).astype(float)
    if not np.issubdtype(counts.dtype, np.floating):
        sums = np.rint(sums)
    return score(sums.reshape(DRAWS, *counts.shape[1:]))


def _mask_miou(counts: Arrays, seed: int) -> np.ndarray:
    return _summed(counts["mask"], metrics.mean_iou, seed)


def _pixel_accuracy(counts: Arrays, seed: int) -> np.ndarray:
    return _summed(counts["pixels"], metrics.ratio_of_sums, seed)


def _attribute_bacc(counts: Arrays, seed: int) -> np.ndarray:
    return _attributes(counts, metrics.attribute_accuracy, seed)


def _attribute_f1(counts: Arrays, seed: int) -> np.ndarray:
    return _attributes(counts, metrics.attribute_f1, seed)


def _attributes(counts: Arrays, score: Callable[[np.ndarray], np.ndarray], seed: int) -> np.ndarray:
    hits = metrics.attribute_counts(counts["truth"], counts["present"])[:, counts["scored"]]
    return _summed(hits, lambda sums: metrics.mean_of_known(score(sums)), seed)


def _frechet(counts: Arrays, seed: int) -> np.ndarray:
    features = counts["features"]
    picks = picks_of(len(features), FEW_DRAWS, seed)
    reference = counts["reference_mean"], counts["reference_covariance"]
    return metrics.frechet_draws(features, *reference, picks).clip(0)


def _effect(counts: Arrays, seed: int) -> np.ndarray:
    change = counts["turned_change"]
    target = np.stack([change[t, :, c] for t, c in enumerate(counts["turned_columns"])])
    target = target[counts["turned_free"]]  # [T, C]
    picks = picks_of(target.shape[1], FEW_DRAWS, seed)
    return np.array([target[:, pick].mean() for pick in picks])


def _off_target(counts: Arrays, seed: int) -> np.ndarray:
    """Repeated conditions raise absolute effects: the draws are moved to their score."""
    free = counts["turned_free"]
    change, unrelated = counts["turned_change"][free], counts["turned_unrelated"][free]
    picks = picks_of(change.shape[1], FEW_DRAWS, seed)
    found = np.array([off_target(change[:, pick], unrelated) for pick in picks])
    return found + off_target(change, unrelated) - found.mean()


def _mask_stability(counts: Arrays, seed: int) -> np.ndarray:
    return _summed(counts["turned_masks"], metrics.mean_iou, seed)
