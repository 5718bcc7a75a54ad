"""Scores on draws of images: the same draws for all runs, the variance of the closed form."""

from __future__ import annotations

import numpy as np
import pytest

from facecond import metrics
from facecond.analysis.ablation.draws import image_draws, picks_of


def planted(images: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Counts of a run whose pixels are right at a rate of 0.7 and attributes at 0.8."""
    generator = np.random.default_rng(seed)
    right = generator.random((images, 64)) < 0.7
    truth = generator.integers(0, 2, (images, 40)).astype(np.int8)
    present = (truth == 1) ^ (generator.random((images, 40)) > 0.8)
    mask = generator.integers(1, 50, (images, 19, 2)).cumsum(-1).astype(np.int32)
    features = generator.normal(0, 1, (images, 6)).astype(np.float32)
    places = images // 4
    change = generator.normal(0.3, 0.1, (3, places, 40)).astype(np.float32)
    return {
        "mask": mask,
        "pixels": np.stack([right.sum(1), np.full(images, 64)], 1).astype(np.int32),
        "truth": truth,
        "present": present,
        "scored": np.arange(40) < 30,
        "features": features,
        "reference_mean": np.zeros(6),
        "reference_covariance": np.eye(6),
        "turned_change": change,
        "turned_columns": np.array([2, 5, 7]),
        "turned_free": np.array([True, False, True]),
        "turned_unrelated": np.ones((3, 40), bool),
        "turned_masks": mask[:places],
        "diversity": np.stack([generator.normal(2, 0.3, places), np.full(places, 6.0)], 1),
    }


METRICS = (
    "mask_miou", "pixel_accuracy", "attribute_bacc", "attribute_f1", "frechet_judge",
    "attribute_effect", "off_target_effect", "mask_stability", "diversity_alex",
)  # fmt: skip


@pytest.mark.parametrize("metric", METRICS)
def test_draws_lie_around_the_score(metric: str) -> None:
    counts = planted(120)
    free = counts["turned_change"][counts["turned_free"]]
    hits = metrics.attribute_counts(counts["truth"], counts["present"])[:, :30].sum(0)
    scores = {
        "mask_miou": metrics.mean_iou(counts["mask"].sum(0)),
        "pixel_accuracy": metrics.ratio_of_sums(counts["pixels"].sum(0)),
        "attribute_bacc": metrics.attribute_accuracy(hits).mean(),
        "attribute_f1": metrics.attribute_f1(hits).mean(),
        "frechet_judge": metrics.frechet_distance(
            counts["features"], np.random.default_rng(9).normal(0, 1, (200_000, 6))
        ),
        "attribute_effect": (free[0, :, 2].mean() + free[1, :, 7].mean()) / 2,
        "off_target_effect": np.abs(free.mean(1)).mean(),
        "mask_stability": metrics.mean_iou(counts["turned_masks"].sum(0)),
        "diversity_alex": metrics.ratio_of_sums(counts["diversity"].sum(0)),
    }
    draws = image_draws(counts, metric, seed=3)
    assert draws is not None and draws.std() > 0
    assert draws.mean() == pytest.approx(float(scores[metric]), abs=max(3e-3, draws.std() / 5))


def test_the_variance_is_that_of_a_rate() -> None:
    """Pixels right independently at 0.7 in 150 images of 64."""
    draws = image_draws(planted(150), "pixel_accuracy", 0)
    assert draws is not None
    assert draws.std() == pytest.approx((0.7 * 0.3 / (150 * 64)) ** 0.5, rel=0.25)


def test_draws_are_the_same_for_all_runs_so_that_images_cancel() -> None:
    run, other = planted(80), planted(80)
    other["pixels"] = run["pixels"] - np.array([1, 0], np.int32)  # one pixel less in each image
    first, second = (image_draws(c, "pixel_accuracy", 0) for c in (run, other))
    assert first is not None and second is not None
    assert np.allclose(first - second, 1 / 64) and first.std() > 0
    assert (picks_of(9, 5, 0) == picks_of(9, 5, 0)).all()
    assert (picks_of(9, 5, 0) != picks_of(9, 5, 1)).any()


def test_rows_on_references_are_drawn_by_groups_of_pairs() -> None:
    masks = np.random.default_rng(0).integers(1, 50, (40, 4, 19, 2)).cumsum(-1)
    counts = {"taken_layout_leak": masks, "taken_layout_leak_without": masks[:, [0, 1, 0, 1]]}
    draws = image_draws(counts, "layout_leak", 0)
    assert draws is not None and draws.std() > 0
    scores = [float(metrics.mean_iou(masks[:, side].sum(0))) for side in range(4)]
    beyond = (scores[0] - scores[1]) - (scores[2] - scores[3])
    assert draws.mean() == pytest.approx(beyond, abs=draws.std() / 5)
    none = image_draws(counts, "layout_leak_without", 0)
    assert none is not None and none == pytest.approx(np.zeros(len(none)), abs=1e-12)


def test_what_was_not_counted_cannot_be_drawn() -> None:
    assert image_draws({"rows": np.arange(3)}, "mask_miou", 0) is None
    assert image_draws(planted(8), "manifold_recall", 0) is None
    assert image_draws({"rows": np.arange(3)}, "diversity_alex", 0) is None
