"""Latent perceptual loss: the decoder's view of a one-step estimate against that of the truth.

LPL (Berrada et al. 2025, arXiv 2411.04873), with features phi of the frozen decoder at the one-step
estimate x0_hat and at x_0, scaled to one size (phi'), and a mask rho of the target's outliers:

    loss = sum_l 2^-l  mean_c [ sum_p rho (phi'_l(x0_hat) - phi'_l(x_0))^2 / sum_p rho ]

where SNR >= `min_snr`, and 0 elsewhere: at more noise the estimate is a blur.

Paper and released code scale features differently. The paper, as its readers report it,
standardises each channel over the picture by the statistics of the *prediction*, and the gradient
runs through them too (`per: channel, normalise: prediction`). The code divides the feature vector
of each pixel by the length that the *target's* has (`pixel, target`), or by its own (`pixel, own`).
Here a pixel's vector is divided by its root mean square and not by its length, so that one weight
suits any width: the code's value is smaller by the number of channels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from facecond.diffusion.objective import Objective
from facecond.diffusion.paths import snr

Features = Callable[[Tensor, int], Sequence[Tensor]]
"""Latents [B, C, h, w] and the number of maps wanted -> at most so many maps [B, F, H, W]."""

FLOOR = 0.01
"""Share of a map's mean power that is added to every power that divides: silent channels and dark
pixels are not blown up."""
QUANTILE, MARGIN = 0.02, 2.0
"""An outlier lies more than `MARGIN` standard deviations outside the quantiles of its channel."""


class LatentPerceptualLoss:
    """The loss on a given network; it adds to the objective's loss, `weight` times.

    Args:
        features: the frozen decoder; see `Features`.
        objective: tells the one-step estimate and the signal-to-noise ratio.
        weight: what the caller multiplies the loss by.
        min_snr: least signal-to-noise ratio of a sample that counts; the paper uses 3 to 6.
        layers: number of feature maps, at most.
        normalise: whose statistics scale the features: `target`, `prediction`, or each its `own`.
        per: statistics of each `channel` over the picture (mean and standard deviation), or of each
            `pixel` over the channels (root mean square).
        mask_outliers: leave the target's outliers and the pixels around them out.
    """

    def __init__(
        self,
        features: Features,
        objective: Objective,
        weight: float = 0.0,
        min_snr: float = 4.0,
        layers: int = 5,
        normalise: str = "prediction",
        per: str = "channel",
        mask_outliers: bool = True,
    ) -> None:
        self.features, self.objective = features, objective
        self.weight, self.min_snr, self.layers = weight, min_snr, layers
        self.normalise, self.per, self.mask_outliers = normalise, per, mask_outliers

    def active(self, t: Tensor) -> Tensor:
        """Whether a sample counts at noise level t [B] -> bool [B]."""
        return snr(self.objective.schedule, t) >= self.min_snr

    def __call__(self, prediction: Tensor, x_t: Tensor, x_0: Tensor, t: Tensor) -> Tensor:
        """Loss per sample, float32 [B], not weighted; 0 where `active` is false.

        Args:
            prediction: of the network, [B, C, h, w].
            x_t, x_0: noisy and true latents, [B, C, h, w].
            t: noise levels [B].
        """
        chosen = self.active(t).nonzero()[:, 0]  # [N]
        losses = torch.zeros(len(t), device=t.device)
        if not len(chosen):
            return losses
        estimate = self.objective.to_x0(x_t[chosen], prediction[chosen].float(), t[chosen])
        with torch.no_grad():
            wanted = self.features(x_0[chosen], self.layers)
        found = self.features(estimate, self.layers)
        total = torch.zeros(len(chosen), device=t.device)
        for level, (predicted, target) in enumerate(zip(found, wanted, strict=True)):
            total = total + 2.0**-level * self.distance(predicted.float(), target.float())
        return losses.index_put((chosen,), total)  # [B]

    def distance(self, predicted: Tensor, target: Tensor) -> Tensor:
        """Mean squared difference of two scaled feature maps [N, F, H, W] -> [N]."""
        if self.normalise == "own":
            first, second = (
                centred(features, self.per) / scale(features, self.per)
                for features in (predicted, target)
            )
            error = first - second  # [N, F, H, W]
        else:  # a mean that both share cancels
            by = target if self.normalise == "target" else predicted
            error = (predicted - target) / scale(by, self.per)  # [N, F, H, W]
        if not self.mask_outliers:
            return error.square().mean((1, 2, 3))
        kept = inliers(target)
        total = error.masked_fill(~kept, 0).square().sum((2, 3))  # [N, F]
        return (total / kept.sum((2, 3)).clamp_min(1)).mean(1)  # [N]


def centred(features: Tensor, per: str) -> Tensor:
    """Maps [N, F, H, W] less the mean of each channel; per pixel they stay as they are."""
    return features - features.mean((2, 3), keepdim=True) if per == "channel" else features


def scale(features: Tensor, per: str) -> Tensor:
    """What divides maps [N, F, H, W]: [N, F, 1, 1] per channel, [N, 1, H, W] per pixel."""
    if per == "channel":
        power = features.var((2, 3), correction=0, keepdim=True)  # [N, F, 1, 1]
    else:
        power = features.square().mean(1, keepdim=True)  # [N, 1, H, W]
    floor = FLOOR * power.mean((1, 2, 3), keepdim=True) + 1e-12
    return (power + floor).sqrt()


@torch.no_grad()
def inliers(features: Tensor) -> Tensor:
    """Bool [N, F, H, W]: false at values far outside the rest of their channel, and around them.

    Far outside is more than `MARGIN` standard deviations below the `QUANTILE` or above the
    1 - `QUANTILE` quantile of the channel in that picture; around is the 3 x 3 neighbourhood, for
    convolutions have spread what made the outlier.
    """
    flat = features.flatten(2)  # [N, F, P]
    count = flat.shape[2]
    rank = max(1, round(count * QUANTILE))
    margin = MARGIN * flat.std(2, keepdim=True, correction=0)  # [N, F, 1]
    low = flat.kthvalue(rank, 2, keepdim=True).values - margin
    high = flat.kthvalue(count + 1 - rank, 2, keepdim=True).values + margin
    outside = ((flat < low) | (flat > high)).view_as(features)
    return functional.max_pool2d(outside.float(), 3, 1, 1) == 0
