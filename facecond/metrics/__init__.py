"""Arrays to numbers; no network is loaded here.

Scores are functions of *counts that add up over images*: a stream of batches can be scored without
keeping it, and a bootstrap over images is one product of weights and counts.
"""

from facecond.metrics.attributes import (
    MINIMUM_CASES,
    attribute_accuracy,
    attribute_counts,
    attribute_f1,
    balanced_accuracy,
)
from facecond.metrics.averages import Spread, mean_of_known, ratio_of_sums, spread
from facecond.metrics.diversity import (
    EntropyScore,
    class_rates,
    entropy_score,
    open_entropy,
    open_entropy_counts,
    pair_diversity,
    region_entropy,
    region_entropy_counts,
)
from facecond.metrics.factorial import (
    Factorial,
    gram,
    jensen_shannon,
    jsd_ratio,
    omega2,
    within_over_between,
)
from facecond.metrics.frechet import frechet_distance, frechet_draws, frechet_interval
from facecond.metrics.groups import GroupScore, group_scores
from facecond.metrics.intervals import (
    Interval,
    bootstrap_interval,
    derangement,
    share_of_way,
)
from facecond.metrics.kernel import KernelDistance, kernel_distance, kernel_interval
from facecond.metrics.leaks import beyond, beyond_chance, by_group, disputed_counts
from facecond.metrics.manifold import Manifold, manifold, manifold_counts
from facecond.metrics.masks import (
    class_iou,
    mask_agreement,
    mask_counts,
    mean_iou,
    pixel_counts,
)
from facecond.metrics.neighbours import (
    Memorisation,
    memorisation,
    memorisation_interval,
    nearest,
)
from facecond.metrics.selectivity import Selectivity, selectivity
from facecond.metrics.sensitivity import (
    SIGNIFICANT,
    STABLE,
    ScoreTest,
    benjamini_hochberg,
    paired_test,
    ranking,
    resampled,
    share_of_whole,
    spearman,
    split_half,
    z_scores,
)

__all__ = [
    "MINIMUM_CASES",
    "SIGNIFICANT",
    "STABLE",
    "EntropyScore",
    "Factorial",
    "GroupScore",
    "Interval",
    "KernelDistance",
    "Manifold",
    "Memorisation",
    "ScoreTest",
    "Selectivity",
    "Spread",
    "attribute_accuracy",
    "attribute_counts",
    "attribute_f1",
    "balanced_accuracy",
    "benjamini_hochberg",
    "beyond",
    "beyond_chance",
    "bootstrap_interval",
    "by_group",
    "class_iou",
    "class_rates",
    "derangement",
    "disputed_counts",
    "entropy_score",
    "frechet_distance",
    "frechet_draws",
    "frechet_interval",
    "gram",
    "group_scores",
    "jensen_shannon",
    "jsd_ratio",
    "kernel_distance",
    "kernel_interval",
    "manifold",
    "manifold_counts",
    "mask_agreement",
    "mask_counts",
    "mean_iou",
    "mean_of_known",
    "memorisation",
    "memorisation_interval",
    "nearest",
    "omega2",
    "open_entropy",
    "open_entropy_counts",
    "pair_diversity",
    "paired_test",
    "pixel_counts",
    "ranking",
    "ratio_of_sums",
    "region_entropy",
    "region_entropy_counts",
    "resampled",
    "selectivity",
    "share_of_way",
    "share_of_whole",
    "spearman",
    "split_half",
    "spread",
    "within_over_between",
    "z_scores",
]
