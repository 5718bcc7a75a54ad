"""Selectivity by hand."""

from __future__ import annotations

import numpy as np
import pytest

from facecond import metrics


def test_selectivity_by_hand() -> None:
    off = np.array([[0.1, 0.5, 0.2, 0.9], [0.3, 0.5, 0.6, 0.1]])
    on = np.array([[0.9, 0.7, 0.1, 0.0], [0.9, 0.7, 0.7, 0.0]])
    scored = np.array([True, True, True, False])
    found = metrics.selectivity(off, on, 0, scored)
    # attribute 1 moves by 0.2 in both rows, 2 by -0.1 and 0.1, which cancels; 3 is not scored
    assert found.target_effect == pytest.approx(0.7)
    assert found.off_target_effect == pytest.approx(0.1)
    assert found.ratio == pytest.approx(7.0)
    turned = metrics.selectivity(on, off, 0, scored)
    assert turned.target_effect == pytest.approx(-0.7)
    assert turned.off_target_effect == pytest.approx(0.1)
    assert scored.tolist() == [True, True, True, False]


def test_selectivity_at_its_ends() -> None:
    off, scored = np.full((3, 2), 0.25), np.array([True, True])
    on = off + np.array([0.5, 0.0])
    assert metrics.selectivity(off, on, 0, scored).ratio == np.inf
    assert metrics.selectivity(off, on, 1, scored).ratio == 0.0
    still = metrics.selectivity(off, off, 0, scored)
    assert still.target_effect == 0.0 and np.isnan(still.ratio)
    alone = metrics.selectivity(off, on, 0, np.array([True, False]))
    assert alone.target_effect == 0.5
    assert np.isnan([alone.off_target_effect, alone.ratio]).all()
    with pytest.raises(ValueError, match="do not match"):
        metrics.selectivity(off, on[:2], 0, scored)
