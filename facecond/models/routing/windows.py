"""Windows of noise levels, and how a gate fades over them.

The coordinate is logSNR = log(alpha^2 / sigma^2), which all noise schedules share. Users write and
read tau = t / T (0 = picture, 1 = noise): [lo, hi) in tau, closed at tau = 1, so that the first
step of a flow sampler keeps its conditions.

A fade runs in the share of noise c = sigma / (alpha + sigma) = 1 / (1 + exp(logSNR / 2)), which
lies in [0, 1] under every schedule and is tau itself under flow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from facecond.errors import UserError, nearest

SCHEDULES = ("const", "linear_early", "linear_late", "cosine_early", "cosine_late")
"""`early` is 1 at the window's noisy end and 0 at its clean end; `late` the reverse.

`cosine_early` over all levels is Collaborative Diffusion's influence of the mask,
(1 + cos((1 - t) pi)) / 2.
"""
LogSnr = Callable[[float], float]


def flow_log_snr(tau: float) -> float:
    """logSNR of the flow path x_t = (1 - t) x_0 + t n at tau: infinite at both ends."""
    if tau <= 0 or tau >= 1:
        return math.inf if tau <= 0 else -math.inf
    return 2 * math.log((1 - tau) / tau)


def flow_tau(log_snr: float | np.ndarray) -> np.ndarray:
    """Share of noise sigma / (alpha + sigma) in [0, 1]: tau of the flow path."""
    half = np.clip(np.asarray(log_snr, np.float64) / 2, -700, 700)
    return 1 / (1 + np.exp(half))


@dataclass(frozen=True)
class Window:
    """Noise levels low < logSNR <= high, and the gate's course over them.

    Attributes:
        low: None = no bound (up to and with pure noise, tau = 1).
        high: None = no bound (down to the picture, tau = 0).
        schedule: one of `SCHEDULES`.
    """

    low: float | None = None
    high: float | None = None
    schedule: str = "const"

    @classmethod
    def of_tau(cls, tau: Sequence[float], log_snr_of: LogSnr, schedule: str = "const") -> Window:
        """[lo, hi) in tau of a noise schedule; `log_snr_of` is tau -> logSNR of it."""
        lo, hi = tau
        return cls(
            None if hi >= 1 else log_snr_of(hi), None if lo <= 0 else log_snr_of(lo), schedule
        )

    @property
    def is_open(self) -> bool:
        """Whether the gate is the same at every noise level."""
        return self.low is None and self.high is None and self.schedule == "const"

    def check(self, where: str) -> None:
        """Raise `UserError` for an empty window or an unknown schedule."""
        if self.schedule not in SCHEDULES:
            fix = nearest(self.schedule, SCHEDULES)
            raise UserError(f"unknown schedule '{self.schedule}'", where, fix)
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise UserError("the window of noise levels is empty", where, "tau: [lo, hi), lo < hi.")

    def overlaps(self, other: Window) -> bool:
        """Whether some noise level lies in both."""
        low = max(_value(self.low, -math.inf), _value(other.low, -math.inf))
        high = min(_value(self.high, math.inf), _value(other.high, math.inf))
        return low < high

    def at(self, log_snr: np.ndarray) -> np.ndarray:
        """Factor in [0, 1] at each noise level; 0 outside the window. float64, the shape given."""
        log_snr = np.asarray(log_snr, np.float64)
        inside = np.ones(log_snr.shape, bool)
        if self.low is not None:
            inside &= log_snr > self.low
        if self.high is not None:
            inside &= log_snr <= self.high
        if self.schedule == "const":
            return inside.astype(np.float64)
        clean = flow_tau(_value(self.high, math.inf))
        noisy = flow_tau(_value(self.low, -math.inf))
        share = np.clip((flow_tau(log_snr) - clean) / (noisy - clean), 0, 1)
        if self.schedule.endswith("late"):
            share = 1 - share
        if self.schedule.startswith("cosine"):
            share = (1 - np.cos(np.pi * share)) / 2
        return np.where(inside, share, 0.0)

    def describe(self, tau_of: Callable[[float], float] = lambda s: float(flow_tau(s))) -> str:
        """In words, as tau: '' where the gate is the same everywhere."""
        if self.is_open:
            return ""
        lo = 0.0 if self.high is None else tau_of(self.high)
        end = "1]" if self.low is None else f"{tau_of(self.low):.3g})"
        return f"tau [{lo:.3g}, {end}" + ("" if self.schedule == "const" else f" {self.schedule}")


def _value(bound: float | None, default: float) -> float:
    return default if bound is None else bound
