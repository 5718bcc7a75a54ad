"""What the denoiser predicts and how much each noise level counts.

Forward process: x_t = alpha x_0 + sigma n, SNR = (alpha / sigma)^2, t in [0, 1] with 1 = noise.
Every loss weight is written once, as a weight w(SNR) on the squared error of x_0, and divided by
the x_0 weight u(SNR) that a plain squared error on the prediction target already has:

    target        u(SNR)
    epsilon       SNR
    v             SNR + 1
    flow          (1 + sqrt(SNR))^2

Weights: P2 (Choi et al. 2022, eq. 8: 1 / (k + SNR)^gamma on epsilon), min-SNR (Hang et al. 2023),
soft min-SNR (Crowson et al. 2024). Identity: P2(k, 1) = (1 / k) soft-min-SNR(k).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from facecond.errors import UserError

NUM_TRAIN_TIMESTEPS = 1000
"""The network sees t * 1000, as diffusers' schedulers count."""

SCHEDULES = ("flow", "linear", "scaled_linear", "cosine")
PREDICTIONS = ("epsilon", "v", "flow")
WEIGHTINGS = ("uniform", "p2", "min_snr", "soft_min_snr")
NUM_BINS = 10


def alpha_sigma(schedule: str, t: Tensor) -> tuple[Tensor, Tensor]:
    """Signal and noise coefficients at t in [0, 1]; flow: (1 - t, t), else alpha^2 + sigma^2 = 1.

    The VP schedules are the continuous forms of DDPM's betas .0001-.02 over 1000 steps (`linear`),
    Stable Diffusion's .00085-.012 in the square root (`scaled_linear`) and Nichol & Dhariwal's
    `cosine` (eq. 17; like the original it stops short of zero terminal SNR).
    """
    if schedule == "flow":
        return 1 - t, t
    if schedule == "linear":
        log_bar = -(0.1 * t + 0.5 * (20 - 0.1) * t**2)  # -integral of beta(t) * 1000
    elif schedule == "scaled_linear":
        a, b = math.sqrt(0.85), math.sqrt(12.0)
        log_bar = -(a * a * t + a * (b - a) * t**2 + (b - a) ** 2 * t**3 / 3)
    else:
        angle = (t * 0.999 + 0.008) / 1.008 * math.pi / 2
        log_bar = 2 * (angle.cos().log() - math.log(math.cos(0.008 / 1.008 * math.pi / 2)))
    return (log_bar / 2).exp(), (-torch.expm1(log_bar)).clamp_min(0).sqrt()


def log_snr(schedule: str, t: Tensor) -> Tensor:
    """log(alpha^2 / sigma^2): infinite at t = 0, and minus infinity at t = 1 under flow."""
    alpha, sigma = alpha_sigma(schedule, t.double())
    return 2 * (alpha.log() - sigma.log())


def log_snr_of(schedule: str, t: float) -> float:
    """`log_snr` of one number."""
    return float(log_snr(schedule, torch.tensor(t, dtype=torch.float64, device="cpu")))


def t_of_log_snr(schedule: str, value: float) -> float:
    """Noise level t in [0, 1] of a logSNR, by bisection: the inverse of `log_snr`."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if log_snr_of(schedule, middle) > value:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def snr(schedule: str, t: Tensor) -> Tensor:
    """Signal-to-noise ratio (alpha / sigma)^2; infinite at t = 0."""
    alpha, sigma = alpha_sigma(schedule, t)
    return (alpha / sigma).square()


def target_to_x0_weight(prediction: str, snr: Tensor) -> Tensor:
    """u(SNR): the x_0 weight of a uniformly weighted squared error on this target."""
    if prediction == "epsilon":
        return snr
    return snr + 1 if prediction == "v" else (1 + snr.sqrt()).square()


def x0_weight(weighting: str, snr: Tensor, prediction: str, k: float, gamma: float) -> Tensor:
    """w(SNR) on the squared error of x_0. `uniform` is uniform on the target, whatever it is.

    `gamma` is P2's exponent, or the clamp of min-SNR and soft min-SNR; `k` is P2's offset.
    """
    if weighting == "uniform":
        return target_to_x0_weight(prediction, snr)
    if weighting == "p2":
        return snr / (k + snr) ** gamma
    if weighting == "min_snr":
        return snr.clamp_max(gamma)
    return snr * gamma / (snr + gamma)


class Objective:
    """Noise schedule, prediction target, loss weight and density of noise levels.

    Args:
        schedule: one of `SCHEDULES`.
        prediction: one of `PREDICTIONS`; `flow` (n - x_0) goes with the flow schedule, v and
            epsilon with the variance-preserving ones.
        weighting: one of `WEIGHTINGS`.
        k, gamma: see `x0_weight`.
        density: t is `uniform`, or `logit_normal` (Esser et al. 2024, eq. 19) with
            `density_mean` and `density_std`.

    The weight is normalised to mean 1 under the density.

    Raises:
        UserError: epsilon at zero terminal SNR (x_0 cannot be told from epsilon at t = 1), or
            another mismatch of prediction and schedule.
    """

    def __init__(
        self,
        schedule: str = "flow",
        prediction: str = "flow",
        weighting: str = "p2",
        k: float = 1.0,
        gamma: float = 1.0,
        density: str = "logit_normal",
        density_mean: float = 0.0,
        density_std: float = 1.0,
    ) -> None:
        self.schedule, self.prediction, self.weighting = schedule, prediction, weighting
        self.k, self.gamma = k, gamma
        self.density, self.density_mean, self.density_std = density, density_mean, density_std
        if prediction == "epsilon" and schedule == "flow":
            raise UserError(
                "epsilon cannot be predicted where the signal vanishes (SNR 0 at t = 1)",
                "objective.prediction",
                "Use v or flow prediction, or a schedule that keeps some signal.",
            )
        if (prediction == "flow") != (schedule == "flow"):
            raise UserError(
                f"{prediction} prediction does not go with the {schedule} schedule",
                "objective.prediction",
                "Flow prediction and the flow schedule go together; v and epsilon with the others.",
            )
        if not (k > 0 and gamma >= 0 and density_std > 0):
            raise UserError(
                "k and density_std must be above 0, gamma at least 0", "objective", "Correct them."
            )
        if gamma == 0 and weighting in ("min_snr", "soft_min_snr"):
            raise UserError(
                f"gamma 0 clamps every weight of {weighting} to 0", "objective.gamma", "Try 5."
            )
        quantiles = (torch.arange(10_000, dtype=torch.float64) + 0.5) / 10_000
        self._mean_weight = float(self._raw_weight(self.quantile(quantiles)).mean())

    def quantile(self, u: Tensor) -> Tensor:
        """Noise level t at quantile u of the density, both in (0, 1)."""
        if self.density == "uniform":
            return u
        return torch.sigmoid(self.density_mean + self.density_std * torch.special.ndtri(u))

    def sample_t(self, batch: int, generator: torch.Generator) -> Tensor:
        """Noise levels [B], one per stratum of the density: low variance over a batch."""
        u = torch.randperm(batch, generator=generator) + torch.rand(batch, generator=generator)
        return self.quantile((u / batch).clamp(1e-5, 1 - 1e-5))

    def add_noise(self, x_0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """x_t [B, C, h, w]."""
        alpha, sigma = self._coefficients(t)
        return alpha * x_0 + sigma * noise

    def target(self, x_0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """What the network should predict [B, C, h, w]."""
        if self.prediction == "epsilon":
            return noise
        if self.prediction == "flow":
            return noise - x_0
        alpha, sigma = self._coefficients(t)
        return alpha * noise - sigma * x_0

    def to_x0(self, x_t: Tensor, prediction: Tensor, t: Tensor) -> Tensor:
        """One-step estimate of x_0 from a prediction; the inverse of `target`."""
        alpha, sigma = self._coefficients(t)
        if self.prediction == "epsilon":
            return (x_t - sigma * prediction) / alpha
        if self.prediction == "flow":
            return x_t - sigma * prediction
        return alpha * x_t - sigma * prediction

    def timestep(self, t: Tensor) -> Tensor:
        """What the network is told of t: the timestep that diffusers' schedulers would give it.

        Flow schedulers count 1000 t; discrete ones number abar((k + 1) / 1000) as step k.
        """
        return t * NUM_TRAIN_TIMESTEPS - (0 if self.schedule == "flow" else 1)

    def weight(self, t: Tensor) -> Tensor:
        """Multiplier of the squared error on the target [B]; its mean under the density is 1."""
        return self._raw_weight(t) / self._mean_weight

    def loss(self, prediction: Tensor, x_0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Weighted squared error per sample [B]."""
        error = (prediction.float() - self.target(x_0, noise, t)).square().flatten(1).mean(1)
        return self.weight(t).to(error) * error

    def effective_weight(self) -> list[float]:
        """Share of the total weight (density x weight) in each of `NUM_BINS` bins of t."""
        u = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
        t = self.quantile(u)
        shares = torch.zeros(NUM_BINS, dtype=torch.float64)
        shares.index_add_(0, bin_of(t), self.weight(t))
        return (shares / shares.sum()).tolist()

    def _raw_weight(self, t: Tensor) -> Tensor:
        # The limit at t -> 0 is finite for every weight here, the ratio itself is not (inf / inf).
        ratio = snr(self.schedule, t.clamp(1e-4, 1 - 1e-4))
        weight = x0_weight(self.weighting, ratio, self.prediction, self.k, self.gamma)
        return weight / target_to_x0_weight(self.prediction, ratio)

    def _coefficients(self, t: Tensor) -> tuple[Tensor, Tensor]:
        alpha, sigma = alpha_sigma(self.schedule, t)
        return alpha.reshape(-1, 1, 1, 1), sigma.reshape(-1, 1, 1, 1)


def bin_of(t: Tensor) -> Tensor:
    """Bin 0 .. NUM_BINS - 1 of noise level t in [0, 1]."""
    return (t * NUM_BINS).long().clamp(0, NUM_BINS - 1)
