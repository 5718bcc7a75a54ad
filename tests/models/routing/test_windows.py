"""Windows: half-open in tau, closed at pure noise, the same noise under every schedule."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from facecond.diffusion.paths import log_snr
from facecond.errors import UserError
from facecond.models.routing import SCHEDULES, Window, flow_log_snr
from facecond.models.routing.windows import flow_tau


def at(window: Window, *taus: float) -> list[float]:
    return window.at(np.array([flow_log_snr(tau) for tau in taus])).tolist()


def test_half_open_in_tau_and_closed_at_noise() -> None:
    assert at(Window.of_tau((0.3, 0.6), flow_log_snr), 0.29, 0.3, 0.59, 0.6) == [0, 1, 1, 0]
    assert at(Window.of_tau((0.3, 1), flow_log_snr), 0.3, 0.999, 1.0) == [1, 1, 1]
    assert at(Window.of_tau((0, 0.3), flow_log_snr), 0.0, 0.29, 0.3, 1.0) == [1, 1, 0, 0]
    first, second = (Window.of_tau(tau, flow_log_snr) for tau in ((0, 0.3), (0.3, 1)))
    assert not first.overlaps(second) and not second.overlaps(first)
    assert first.overlaps(Window.of_tau((0.29, 0.31), flow_log_snr))


@pytest.mark.parametrize("schedule", ["flow", "linear", "scaled_linear", "cosine"])
def test_bounds_are_those_of_the_schedule(schedule: str) -> None:
    def of(tau: float) -> float:
        return float(log_snr(schedule, torch.tensor(tau, dtype=torch.float64)))

    window = Window.of_tau((0.4, 0.85), of)
    # Published values: tau 0.85 is logSNR -7.3 on linear, -3.7 on scaled-linear, -3.5 on flow.
    expected = {"linear": -7.3, "scaled_linear": -3.7, "flow": -3.5}
    if schedule in expected:
        assert window.low == pytest.approx(expected[schedule], abs=0.05)
    taus = np.linspace(0.01, 0.99, 99)
    inside = window.at(np.array([of(tau) for tau in taus]))
    assert inside.tolist() == [float(0.4 - 1e-9 <= tau < 0.85 - 1e-9) for tau in taus]
    assert "tau [0.4, 0.85)" in window.describe(lambda s: float(taus_of(schedule, s)))


def taus_of(schedule: str, value: float) -> float:
    grid = torch.linspace(0.001, 0.999, 99_801, dtype=torch.float64)
    return float(grid[(log_snr(schedule, grid) - value).abs().argmin()])


def test_fades_run_in_the_share_of_noise() -> None:
    taus = np.linspace(0, 1, 11)
    closed = {
        "const": np.ones(11),
        "linear_early": taus,
        "linear_late": 1 - taus,
        "cosine_early": (1 + np.cos((1 - taus) * np.pi)) / 2,  # Collaborative Diffusion
        "cosine_late": (1 + np.cos(taus * np.pi)) / 2,
    }
    assert set(closed) == set(SCHEDULES)
    for schedule, expected in closed.items():
        assert np.allclose(at(Window(None, None, schedule), *taus), expected, atol=1e-9), schedule
        window = Window.of_tau((0.2, 0.7), flow_log_snr, schedule)
        inside = at(window, *(0.2 + 0.5 * taus[:-1]))
        assert np.allclose(inside, expected[:-1], atol=1e-9), schedule
        assert at(window, 0.1, 0.75) == [0, 0]


def test_share_of_noise_is_tau_of_the_flow_path() -> None:
    for tau in (0.0, 1e-6, 0.2, 0.5, 0.999, 1.0):
        assert float(flow_tau(flow_log_snr(tau))) == pytest.approx(tau, abs=1e-12)
    assert flow_log_snr(0) == math.inf and flow_log_snr(1) == -math.inf


def test_words() -> None:
    assert Window().describe() == "" and Window().is_open
    early = Window.of_tau((0.85, 1), flow_log_snr, "linear_early")
    assert early.describe() == "tau [0.85, 1] linear_early" and not early.is_open


@pytest.mark.parametrize(
    ("window", "message"),
    [
        (Window(schedule="linear"), "unknown schedule 'linear'.*linear_"),
        (Window(2.0, 2.0), "empty"),
        (Window(2.0, 1.0), "empty"),
    ],
)
def test_bad_windows_are_refused(window: Window, message: str) -> None:
    with pytest.raises(UserError, match=message):
        window.check("here")
