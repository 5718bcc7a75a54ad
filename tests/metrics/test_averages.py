"""Ratios of sums and figures of several seeds."""

from __future__ import annotations

import numpy as np
import pytest

from facecond import metrics


def test_ratio_of_sums() -> None:
    assert metrics.ratio_of_sums(np.array([3, 4])) == 0.75
    found = metrics.ratio_of_sums(np.array([[1, 2], [0, 0], [0, 5]]))
    assert found[[0, 2]].tolist() == [0.5, 0.0] and np.isnan(found[1])


def test_spread_by_hand() -> None:
    assert metrics.spread([1.0, 2.0, 6.0]) == metrics.Spread(3.0, pytest.approx(7**0.5), 3)
    one = metrics.spread([0.5])
    assert (one.mean, one.n) == (0.5, 1) and np.isnan(one.sd)
    with pytest.raises(ValueError, match="list of figures"):
        metrics.spread([])


def test_mean_of_known() -> None:
    found = metrics.mean_of_known(np.array([[1.0, np.nan, 3.0], [np.nan] * 3]))
    assert found[0] == 2.0 and np.isnan(found[1])
