"""What the denoiser predicts and how much each noise level counts.

On a path x_t = alpha x_0 + sigma n (`paths.py`) a target is a mixture of x_0 and n that together
with x_t tells both, so a prediction of one target can be said as any other (`convert`). Every loss
weight is written once, as a weight w(SNR) on the squared error of x_0, and divided by the x_0
weight u(SNR) that a plain squared error on the prediction target already has:

    target     mixture                                    u(SNR)
    epsilon    n                                          SNR
    v          (alpha n - sigma x_0) / |(alpha, sigma)|   SNR + 1
    flow       n - x_0                                    (1 + sqrt(SNR))^2

v is that of Salimans & Ho (2022), whose path preserves variance: there the length is 1.

Weights: P2 (Choi et al. 2022, eq. 8: 1 / (k + SNR)^gamma on epsilon), min-SNR (Hang et al. 2023),
soft min-SNR (Crowson et al. 2024), and `uniform_epsilon`, `uniform_v`, `uniform_flow`: w = u of
that target, whatever the network predicts. Identity: P2(k, 1) = (1 / k) soft-min-SNR(k).
"""

from __future__ import annotations

import torch
from torch import Tensor

from facecond.diffusion.paths import alpha_sigma, snr, timestep_of
from facecond.errors import UserError

PREDICTIONS = ("epsilon", "v", "flow")
WEIGHTINGS = (
    "uniform", "uniform_epsilon", "uniform_v", "uniform_flow", "p2", "min_snr", "soft_min_snr",
)  # fmt: skip
NUM_BINS = 10


def _mixture(target: str, schedule: str, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(p, q, d), each [B, 1, 1, 1]: the target is p x_0 + q n, and d = alpha q - sigma p.

    d is what telling x_0 and n from x_t and the target divides by. Where theory makes it 1, it is
    exactly 1.
    """
    alpha, sigma = (c.reshape(-1, 1, 1, 1) for c in alpha_sigma(schedule, t))
    zero, one = torch.zeros_like(alpha), torch.ones_like(alpha)
    if target == "x_0":
        return one, zero, -sigma
    if target == "epsilon":
        return zero, one, alpha
    if target == "flow":
        return -one, one, one if schedule == "flow" else alpha + sigma
    length = (alpha.square() + sigma.square()).sqrt() if schedule == "flow" else one
    return -sigma / length, alpha / length, length


def convert(
    prediction: Tensor, x_t: Tensor, t: Tensor, schedule: str, source: str, target: str
) -> Tensor:
    """A prediction of the target `source`, said as the target `target`.

    It is affine in the prediction, so that guided predictions may be converted too.

    Args:
        prediction, x_t: [B, C, h, w].
        t: noise levels, [B] or one for all; above 0, and of epsilon below 1 on the flow schedule.
        schedule: one of `SCHEDULES`.
        source, target: of `PREDICTIONS`, or `x_0`.
    """
    if source == target:
        return prediction
    p, q, divisor = _mixture(source, schedule, t)
    to_p, to_q, factor = _mixture(target, schedule, t)
    return ((to_p * q - to_q * p) * x_t + factor * prediction) / divisor


def target_to_x0_weight(prediction: str, snr: Tensor) -> Tensor:
    """u(SNR): the x_0 weight of a uniformly weighted squared error on this target."""
    if prediction == "epsilon":
        return snr
    return snr + 1 if prediction == "v" else (1 + snr.sqrt()).square()


def x0_weight(weighting: str, snr: Tensor, prediction: str, k: float, gamma: float) -> Tensor:
    """w(SNR) on the squared error of x_0. `uniform` is uniform on the target, whatever it is.

    `gamma` is P2's exponent, or the clamp of min-SNR and soft min-SNR; `k` is P2's offset.
    """
    kind, _, on = weighting.partition("_")
    if kind == "uniform":
        return target_to_x0_weight(on or prediction, snr)
    if weighting == "p2":
        return snr / (k + snr) ** gamma
    if weighting == "min_snr":
        return snr.clamp_max(gamma)
    return snr * gamma / (snr + gamma)


class Objective:
    """Noise schedule, prediction target, loss weight and density of noise levels.

    Args:
        schedule: one of `SCHEDULES`.
        prediction: one of `PREDICTIONS`; any on any schedule, but epsilon on the flow schedule.
        weighting: one of `WEIGHTINGS`. All but `uniform` mean the same on every target, up to a
            constant factor.
        k, gamma: see `x0_weight`.
        density: t is `uniform`, or `logit_normal` (Esser et al. 2024, eq. 19) with
            `density_mean` and `density_std`.

    The weight is normalised to mean 1 under the density.

    Raises:
        UserError: epsilon at zero terminal SNR (x_0 cannot be told from epsilon at t = 1), or a
            number out of range.
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
        alpha, sigma = (c.reshape(-1, 1, 1, 1) for c in alpha_sigma(self.schedule, t))
        return alpha * x_0 + sigma * noise

    def target(self, x_0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """What the network should predict [B, C, h, w]."""
        p, q, _ = _mixture(self.prediction, self.schedule, t)
        return p * x_0 + q * noise

    def to_x0(self, x_t: Tensor, prediction: Tensor, t: Tensor) -> Tensor:
        """One-step estimate of x_0 from a prediction; the inverse of `target`."""
        return convert(prediction, x_t, t, self.schedule, self.prediction, "x_0")

    def timestep(self, t: Tensor) -> Tensor:
        """What the network is told of t: `timestep_of`."""
        return timestep_of(self.schedule, t)

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


def bin_of(t: Tensor) -> Tensor:
    """Bin 0 .. NUM_BINS - 1 of noise level t in [0, 1]."""
    return (t * NUM_BINS).long().clamp(0, NUM_BINS - 1)
