"""Arrays to numbers; no network is loaded here.

Scores are functions of *counts that add up over images*: a stream of batches can be scored without
keeping it, and a bootstrap over images is one product of weights and counts.
"""

from facecond.metrics.attributes import (
    MINIMUM_CASES,
    attribute_accuracy,
    attribute_counts,
    balanced_accuracy,
)
from facecond.metrics.frechet import frechet_distance, frechet_interval
from facecond.metrics.intervals import (
    Interval,
    bootstrap_interval,
    derangement,
    share_of_way,
)
from facecond.metrics.masks import class_iou, mask_counts, mean_iou

__all__ = [
    "MINIMUM_CASES",
    "Interval",
    "attribute_accuracy",
    "attribute_counts",
    "balanced_accuracy",
    "bootstrap_interval",
    "class_iou",
    "derangement",
    "frechet_distance",
    "frechet_interval",
    "mask_counts",
    "mean_iou",
    "share_of_way",
]
