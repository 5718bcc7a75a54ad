"""Paths from data to noise: x_t = alpha x_0 + sigma n at t in [0, 1], 1 = noise.

The signal-to-noise ratio is SNR = (alpha / sigma)^2. Its logarithm is the common coordinate of all
schedules: equal t is not equal noise.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

NUM_TRAIN_TIMESTEPS = 1000
"""The network sees t * 1000, as diffusers' schedulers count."""

SCHEDULES = ("flow", "linear", "scaled_linear", "cosine")

_FIRST, _LAST = math.sqrt(0.85), math.sqrt(12.0)  # of `scaled_linear`: roots of 1000 beta
_OFFSET = 0.008  # of `cosine`, as published
_SPAN = 0.999  # of `cosine`: t = 1 stops short of the angle at which the signal vanishes


def alpha_sigma(schedule: str, t: Tensor) -> tuple[Tensor, Tensor]:
    """Signal and noise coefficients at t in [0, 1]; flow: (1 - t, t), else alpha^2 + sigma^2 = 1.

    The VP schedules are the continuous forms of DDPM's betas .0001-.02 over 1000 steps (`linear`),
    Stable Diffusion's .00085-.012 in the square root (`scaled_linear`) and Nichol & Dhariwal's
    `cosine` (eq. 17; like the original it stops short of zero terminal SNR).
    """
    if schedule == "flow":
        return 1 - t, t
    log_bar = _log_bar(schedule, t)
    return (log_bar / 2).exp(), (-torch.expm1(log_bar)).clamp_min(0).sqrt()


def _log_bar(schedule: str, t: Tensor) -> Tensor:
    """log(alpha^2) of a variance-preserving schedule."""
    if schedule == "linear":
        return -(0.1 * t + 0.5 * (20 - 0.1) * t**2)  # -integral of beta(t) * 1000
    if schedule == "scaled_linear":
        a, b = _FIRST, _LAST
        return -(a * a * t + a * (b - a) * t**2 + (b - a) ** 2 * t**3 / 3)
    angle = (t * _SPAN + _OFFSET) / (1 + _OFFSET) * math.pi / 2
    return 2 * (angle.cos().log() - math.log(math.cos(_cosine_start())))


def _cosine_start() -> float:
    """Angle of the cosine schedule at t = 0."""
    return _OFFSET / (1 + _OFFSET) * math.pi / 2


def snr(schedule: str, t: Tensor) -> Tensor:
    """Signal-to-noise ratio (alpha / sigma)^2; infinite at t = 0."""
    alpha, sigma = alpha_sigma(schedule, t)
    return (alpha / sigma).square()


def log_snr(schedule: str, t: Tensor) -> Tensor:
    """Natural logarithm of `snr`, in the precision of t (floating point, any shape).

    It falls strictly with t: inf at t = 0, -inf at t = 1 of the flow schedule, and finite at t = 1
    of the others. No difference of nearly equal numbers is taken, so float32 is enough.
    """
    if schedule == "flow":
        return 2 * (torch.log1p(-t) - t.log())
    if schedule == "cosine":
        # cos^2 a / (cos^2 a_0 - cos^2 a), a product of sines below: exact also where a is near a_0.
        start, width = _cosine_start(), _SPAN / (1 + _OFFSET) * math.pi / 2
        left = ((1 - t * _SPAN) / (1 + _OFFSET) * math.pi / 2).sin()  # cos a
        return 2 * left.log() - (width * t + 2 * start).sin().log() - (width * t).sin().log()
    return -torch.expm1(-_log_bar(schedule, t)).log()


def t_of_log_snr(schedule: str, log_snr: Tensor) -> Tensor:
    """Noise level t in [0, 1] of a log SNR: the inverse of `log_snr`, in closed form.

    Infinite values are allowed. Below the least value that a schedule reaches, t is 1.
    """
    if schedule == "flow":
        return torch.sigmoid(-log_snr / 2)
    if schedule == "cosine":
        start = _cosine_start()
        noise, signal = torch.sigmoid(-log_snr), torch.sigmoid(log_snr)  # sigma^2, alpha^2
        sine = (math.sin(start) ** 2 + math.cos(start) ** 2 * noise).sqrt()
        angle = torch.atan2(sine, math.cos(start) * signal.sqrt())
        t = (angle * (1 + _OFFSET) / (math.pi / 2) - _OFFSET) / _SPAN
        return t.clamp(0, 1)
    # -log(alpha^2) is a polynomial in t; the roots are written so that nothing cancels.
    one = torch.ones_like(log_snr)
    spent = torch.minimum(torch.nn.functional.softplus(-log_snr), -_log_bar(schedule, one))
    if schedule == "linear":
        return (2 * spent / (0.1 + (0.01 + 2 * (20 - 0.1) * spent).sqrt())).clamp_max(1)
    a, b = _FIRST, _LAST
    end = (a**3 + 3 * (b - a) * spent).pow(1 / 3)  # a + (b - a) t
    return (3 * spent / (end.square() + a * end + a * a)).clamp_max(1)


def log_snr_of(schedule: str, t: float) -> float:
    """`log_snr` of one number."""
    return float(log_snr(schedule, torch.tensor(t, dtype=torch.float64, device="cpu")))


def tau_of(schedule: str, log_snr: float) -> float:
    """`t_of_log_snr` of one number."""
    value = torch.tensor(log_snr, dtype=torch.float64, device="cpu")
    return float(t_of_log_snr(schedule, value))


def timestep_of(schedule: str, t: Tensor) -> Tensor:
    """What the network is told of t: the timestep that diffusers' schedulers would give it.

    Flow schedulers count 1000 t; discrete ones number abar((k + 1) / 1000) as step k.
    """
    return t * NUM_TRAIN_TIMESTEPS - (0 if schedule == "flow" else 1)


def t_of_timestep(schedule: str, timestep: Tensor) -> Tensor:
    """Noise level t of a timestep of diffusers: the inverse of `timestep_of`."""
    return (timestep + (0 if schedule == "flow" else 1)) / NUM_TRAIN_TIMESTEPS
