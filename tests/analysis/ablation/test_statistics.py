"""Spreads, intervals and paired differences against closed forms and planted variances."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from facecond.analysis.ablation.statistics import (
    compare,
    crossed_means,
    hedges_g,
    holm,
    least_sign_p,
    sign_flip_test,
    student_interval,
    summarise,
    t_test,
)

SEEDS = [0.30, 0.35, 0.31, 0.36, 0.33]


def test_a_crossed_draw_has_the_variance_of_both_seeds_and_images() -> None:
    """Scores a_s + b_k: var = (variance of the a) / S + variance of the b."""
    generator = np.random.default_rng(0)
    a, b = generator.normal(0, 1.0, 6), generator.normal(0, 0.7, 4000)
    means = crossed_means(a[:, None] + b)
    assert len(means) == 4000
    assert means.var() == pytest.approx(a.var() / 6 + b.var(), rel=0.1)
    assert means.mean() == pytest.approx(a.mean() + b.mean(), abs=0.03)


def test_noise_of_images_that_is_each_runs_own_averages_out_over_seeds() -> None:
    """Scores e_sk, independent: var = (variance of the e) / S, for seeds drawn with replacement
    times the chance that a seed is drawn twice, which adds (S - 1) / S^2 more."""
    generator = np.random.default_rng(1)
    noise = generator.normal(0, 1.0, (5, 6000))
    expected = 1 / 5 + (1 / 5) * (4 / 5)
    assert crossed_means(noise).var() == pytest.approx(expected, rel=0.1)


def test_equal_images_leave_the_seeds_alone() -> None:
    means = crossed_means(np.array(SEEDS)[:, None])
    assert len(means) == 1000
    assert means.var() == pytest.approx(np.var(SEEDS) / 5, rel=0.1)


def test_one_seed_leaves_the_images_alone() -> None:
    draws = np.linspace(0, 1, 1001)[None]
    found = summarise([0.5], draws)
    assert (found.crossed.low, found.crossed.high) == pytest.approx((0.025, 0.975))
    assert found.n == 1 and math.isnan(found.sd) and math.isnan(found.student.low)


def test_the_interval_covers_a_planted_mean_as_often_as_it_says() -> None:
    """Many seeds: the bootstrap's interval is about as wide as it should be."""
    generator = np.random.default_rng(2)
    hits = 0
    for trial in range(300):
        scores = generator.normal(0.4, 0.1, 30)
        bounds = summarise(scores.tolist(), scores[:, None], seed=trial).crossed
        hits += bounds.low <= 0.4 <= bounds.high
    assert 0.90 <= hits / 300 <= 0.98


def test_few_seeds_make_the_bootstrap_too_narrow_and_students_interval_not() -> None:
    generator = np.random.default_rng(3)
    crossed = student = 0
    for trial in range(300):
        scores = generator.normal(0.4, 0.1, 3)
        found = summarise(scores.tolist(), scores[:, None], seed=trial)
        crossed += found.crossed.low <= 0.4 <= found.crossed.high
        student += found.student.low <= 0.4 <= found.student.high
    assert crossed / 300 < 0.88 and student / 300 > 0.91


def test_students_interval_and_test_are_scipys() -> None:
    other = [0.28, 0.36, 0.27, 0.35, 0.30]
    apart = np.array(SEEDS) - np.array(other)
    assert t_test(apart) == pytest.approx(stats.ttest_rel(SEEDS, other).pvalue)
    expected = stats.ttest_1samp(SEEDS, 0).confidence_interval()
    bounds = student_interval(np.array(SEEDS))
    assert (bounds.low, bounds.high) == pytest.approx((expected.low, expected.high))


def test_a_planted_difference_is_found_where_the_spreads_overlap() -> None:
    """Seeds differ by far more than the variants, but alike in both."""
    generator = np.random.default_rng(4)
    shared, images = generator.normal(0, 0.2, 5), generator.normal(0, 0.1, 500)
    base = 0.4 + shared
    better = base + 0.02 + generator.normal(0, 0.004, 5)
    found = compare(
        better.tolist(), base.tolist(), better[:, None] + images, base[:, None] + images
    )
    assert found.mean == pytest.approx(0.02, abs=0.006) and found.n == 5
    assert found.p < 0.01 and found.student.low > 0 and found.crossed.low > 0
    assert found.crossed.high - found.crossed.low < 0.02  # images are the same, and cancel
    assert found.sign_p == least_sign_p(5) == 0.0625
    nothing = compare(base.tolist(), base.tolist(), base[:, None], base[:, None])
    assert nothing.mean == 0 and math.isnan(nothing.p) and math.isnan(nothing.effect)


def test_without_a_difference_p_is_even() -> None:
    generator = np.random.default_rng(5)
    p = np.array([t_test(generator.normal(0, 1, 4)) for _ in range(400)])
    assert stats.kstest(p, "uniform").pvalue > 0.01


@pytest.mark.parametrize(
    ("apart", "p"),
    [([1, 2, 3], 0.25), ([1, 2, 3, 4, 5], 0.0625), ([1, -1, 1, -1], 1.0), ([3, 2, -1], 0.5)],
)
def test_flips_of_signs_are_counted_exactly(apart: list[float], p: float) -> None:
    assert sign_flip_test(np.array(apart, float)) == pytest.approx(p)


def test_hedges_g_is_the_standardised_mean_with_its_factor() -> None:
    apart = np.array([0.1, 0.2, 0.3])
    assert hedges_g(apart) == pytest.approx(0.2 / 0.1 * (1 - 3 / 7))
    assert math.isnan(hedges_g(np.array([0.1, 0.2]))) and math.isnan(hedges_g(np.ones(4)))


def test_holm_steps_down_and_leaves_unknown_out() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    found = holm([math.nan, 0.02, 0.9])
    assert math.isnan(found[0]) and found[1:] == pytest.approx([0.04, 0.9])
    assert holm([]) == []
