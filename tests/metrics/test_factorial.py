"""Scores over factorial grids: pair accounting, closed forms, nulls, order of samples."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from facecond.metrics import (
    Factorial,
    ScoreTest,
    benjamini_hochberg,
    gram,
    jensen_shannon,
    jsd_ratio,
    omega2,
    within_over_between,
)

RNG = np.random.default_rng(1)


def cells(levels: int, others: int, seeds: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    level, other, noise = np.indices((levels, others, seeds)).reshape(3, -1)
    return level, other, noise


@pytest.mark.parametrize("size", [(2, 2), (3, 5), (10, 5), (8, 4)])
@pytest.mark.parametrize("constant", [0.1, 1 / 3, 1 / 49, 12345.678])
def test_constant_distances_give_exactly_one(size: tuple[int, int], constant: float) -> None:
    for others in (1, 3):
        design = Factorial(*cells(size[0], others, size[1]))
        distances = np.full((design.pairs.shape[1], 2), constant)
        assert jsd_ratio(distances, design, draws=5).score.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(("levels", "seeds"), [(2, 2), (3, 5), (10, 5), (8, 4)])
def test_pairs_are_of_different_noise_within_and_between(levels: int, seeds: int) -> None:
    design = Factorial(*cells(levels, 2, seeds))
    i, j = design.pairs
    noise, other = design.labels("noise"), design.labels("other")
    assert (noise[i] != noise[j]).all() and (other[i] == other[j]).all()
    same = design.level[i] == design.level[j]
    assert same.sum() == 2 * levels * seeds * (seeds - 1) // 2
    assert (~same).sum() == 2 * levels * (levels - 1) // 2 * seeds * (seeds - 1)


def test_shared_noise_does_not_bend_the_ratio() -> None:
    """Samples that differ by their noise alone: with the pairs of one noise left in (their distance
    is 0 and they are all between levels) the ratio would be S / (S - 1)."""
    level, other, noise = cells(4, 2, 5)
    design = Factorial(level, other, noise)
    mean = RNG.normal(size=(5, 6))[noise][design.order]
    distances = jensen_shannon(mean, np.ones_like(mean), design.pairs)
    assert jsd_ratio(distances, design, draws=0).score == pytest.approx(1.0, abs=1e-12)
    every = np.array([p for p in product(range(len(level)), repeat=2) if p[0] < p[1]]).T
    every = every[:, design.labels("other")[every[0]] == design.labels("other")[every[1]]]
    same = design.level[every[0]] == design.level[every[1]]
    bent = within_over_between(jensen_shannon(mean, np.ones_like(mean), every), same[None])
    assert bent == pytest.approx(5 / 4)


def test_jensen_shannon_of_gaussians() -> None:
    mean, std = np.array([[0.0], [2.0], [0.0]]), np.array([[1.0], [1.0], [3.0]])
    pairs = np.array([[0, 0, 0], [0, 1, 2]])
    # (m1 - m2)^2 / 8 at variance 1; log(5 / 3) / 2 for deviations 1 and 3 (mean variance 5).
    wanted = [0.0, 0.5, np.log(5 / 3) / 2]
    assert jensen_shannon(mean, std, pairs) == pytest.approx(wanted)
    wide = jensen_shannon(np.repeat(mean, 4, 1), np.repeat(std, 4, 1), pairs)
    assert wide == pytest.approx(4 * np.array(wanted))


def test_a_level_that_is_all_there_is_explains_everything() -> None:
    level, other, noise = cells(3, 2, 4)
    design = Factorial(level, other, noise)
    features = RNG.normal(size=(3, 5))[level][design.order]
    assert omega2(gram(features), design, draws=0).score == pytest.approx(1.0)
    swapped = Factorial(other, level, noise)
    features = RNG.normal(size=(3, 5))[level][swapped.order]
    assert omega2(gram(features), swapped, draws=0).score == pytest.approx(0.0, abs=1e-9)


def test_omega2_as_an_analysis_of_variance_by_hand() -> None:
    level, other, noise = cells(3, 2, 4)
    design = Factorial(level, other, noise)
    value = RNG.normal(size=24) + level + 0.5 * other
    total = ((value - value.mean()) ** 2).sum()

    def between(labels: np.ndarray) -> float:
        means = [value[labels == k].mean() for k in labels]
        return float(((np.array(means) - value.mean()) ** 2).sum())

    rest = (total - between(level) - between(other) - between(noise)) / (23 - 2 - 1 - 3)
    wanted = (between(level) - 2 * rest) / (total + rest)
    # Sums of squares are divided by the variance in `gram`, which cancels.
    found = omega2(gram(value[design.order, None]), design, draws=0).score
    assert found == pytest.approx(wanted)


def test_features_that_do_not_vary_say_nothing() -> None:
    design = Factorial(*cells(3, 2, 2))
    assert not gram(np.full((12, 4), 0.3)).any()
    assert omega2(gram(np.full((12, 4), 0.3)), design, draws=3).score == 0.0


def planted(effect: float) -> tuple[np.ndarray, Factorial]:
    """Features [N, 40 cells, 8] in the design's order, with noise that levels share."""
    level, other, noise = cells(5, 4, 4)
    design = Factorial(level, other, noise)
    features = RNG.normal(size=(80, 40, 8)) + RNG.normal(size=(4, 40, 8))[noise]
    features += effect * RNG.normal(size=(5, 40, 8))[level]
    return features[design.order], design


def scores(features: np.ndarray, design: Factorial) -> tuple[ScoreTest, ScoreTest]:
    columns = range(features.shape[1])
    grams = np.stack([gram(features[:, k]) for k in columns], -1)
    std = np.ones_like(features[:, 0])
    distances = [jensen_shannon(features[:, k], std, design.pairs) for k in columns]
    return jsd_ratio(np.stack(distances, -1), design, draws=200), omega2(grams, design, draws=200)


def test_a_planted_effect_is_found_and_shuffled_labels_are_null() -> None:
    features, design = planted(1.0)
    ratio, share = scores(features, design)
    assert ratio.score.max() < 0.95 and share.score.min() > 0.05
    assert (ratio.p == 1 / 201).all() and (share.p == 1 / 201).all()
    assert (ratio.score < ratio.p95).all() and (share.score > share.p95).all()
    # Levels exchanged within each (other level, noise): the effect is still there, its name is not.
    order = design.permuted(1, seed=5).reshape(design.shape)
    shuffled = features.reshape(*design.shape, 40, 8)
    shuffled = np.take_along_axis(shuffled, order[..., None, None], 2).reshape(features.shape)
    ratio, share = scores(shuffled, design)
    assert ratio.score == pytest.approx(1.0, abs=0.1)
    assert ratio.score.mean() == pytest.approx(1.0, abs=0.01)
    assert np.abs(share.score).max() < 0.05 and abs(share.score.mean()) < 0.01
    for p in (ratio.p, share.p):
        assert np.mean(benjamini_hochberg(p) < 0.05) <= 0.05


def test_the_order_of_samples_does_not_matter() -> None:
    level, other, noise = cells(3, 3, 4)
    features = RNG.normal(size=(36, 2, 5)) + level[:, None, None]
    shuffle = RNG.permutation(36)
    found = []
    for order in (np.arange(36), shuffle):
        design = Factorial(level[order], other[order], noise[order])
        found.append(scores(features[order][design.order], design))
    for first, second in zip(*found, strict=True):
        assert np.array_equal(first.score, second.score) and np.array_equal(first.p, second.p)


def test_a_grid_that_is_not_full_is_refused() -> None:
    level, other, noise = cells(3, 2, 2)
    for keep in (slice(1, None), np.r_[0, 0, 2:12]):
        with pytest.raises(ValueError, match="full factorial"):
            Factorial(level[keep], other[keep], noise[keep])
    with pytest.raises(ValueError, match="two levels"):
        Factorial(*cells(1, 2, 2))
