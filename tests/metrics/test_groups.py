"""Scores of groups of images."""

from __future__ import annotations

import numpy as np
import pytest

from facecond import metrics


def test_groups_are_scored_by_themselves() -> None:
    counts = np.array([[8, 10], [6, 10], [1, 10], [3, 10], [5, 10]])
    groups = {
        "Male": np.array([1, 1, 0, 0, 0], bool),
        "not Male": np.array([0, 0, 1, 1, 1], bool),
        "all": np.ones(5, bool),
        "nobody": np.zeros(5, bool),
    }
    found = metrics.group_scores(counts, groups, metrics.ratio_of_sums)
    assert list(found) == list(groups)
    assert [group.n for group in found.values()] == [2, 3, 5, 0]
    scores = [group.score for group in found.values()]
    assert scores[:3] == pytest.approx([0.7, 0.3, 23 / 50])
    assert np.isnan([scores[3], found["nobody"].low, found["nobody"].high]).all()
    alone = metrics.bootstrap_interval(counts[:2], metrics.ratio_of_sums)
    assert (found["Male"].low, found["Male"].high) == (alone.low, alone.high) == (0.6, 0.8)


def test_a_planted_gap_shows_and_no_gap_does_not() -> None:
    generator = np.random.default_rng(0)
    male = np.arange(400) < 200
    hits = generator.random(400) < np.where(male, 0.9, 0.6)
    counts = np.stack([hits, np.ones(400, bool)], -1).astype(int)
    unfair = metrics.group_scores(counts, {"a": male, "b": ~male}, metrics.ratio_of_sums)
    assert unfair["b"].high < unfair["a"].low
    mixed = generator.permutation(male)
    fair = metrics.group_scores(counts, {"a": mixed, "b": ~mixed}, metrics.ratio_of_sums)
    assert fair["b"].low < fair["a"].high and fair["a"].low < fair["b"].high


def test_a_group_in_which_nothing_can_be_scored() -> None:
    counts = np.zeros((4, 2, 4), int)  # no case of any attribute
    found = metrics.group_scores(counts, {"a": np.ones(4, bool)}, metrics.balanced_accuracy)
    assert found["a"].n == 4 and np.isnan([found["a"].score, found["a"].low]).all()
