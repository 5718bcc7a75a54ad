"""What an autoencoder is trained on: reconstruction, small latents, an adversary.

loss = l1 |x - x'| + perceptual LPIPS(x, x') + kl KL + adversary lambda E[-D(x')]

where lambda is the adaptive weight of Esser et al. 2021 (arXiv 2012.09841, equation 7). Every term
is a mean, so the weights keep their meaning at any picture size; with l1 = perceptual = 1 they are
those of latent diffusion's configs.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from facecond.models.kl_autoencoder import Reconstruction
from facecond.models.lpips_distance import LpipsDistance

ADAPTIVE_EPS, ADAPTIVE_LIMIT = 1e-4, 1e4
"""As in the code of Esser et al."""


class AutoencoderLoss(nn.Module):
    """The terms of the loss that need no adversary, and the weights of all.

    Args:
        l1: weight of the mean absolute difference, images in [-1, 1].
        perceptual: weight of the perceptual distance; at 0 its trunk is not even loaded.
        perceptual_net, perceptual_trunk: see `LpipsDistance`.
        kl: weight of the KL divergence to the standard normal, in nats per pixel value.
        adversary: weight of the adversary beside its adaptive weight; 0 leaves it out.
        adversary_start: step from which the adversary is trained and used.
    """

    def __init__(
        self,
        l1: float = 1.0,
        perceptual: float = 1.0,
        perceptual_net: str = "alex",
        perceptual_trunk: str = "",
        kl: float = 1e-6,
        adversary: float = 0.5,
        adversary_start: int = 50_000,
    ) -> None:
        super().__init__()
        self.l1, self.perceptual, self.kl = l1, perceptual, kl
        self.adversary, self.adversary_start = adversary, adversary_start
        self.distance = None
        if perceptual:
            self.distance = LpipsDistance(perceptual_net, perceptual_trunk)

    @property
    def name(self) -> str:
        """Name of the perceptual distance, `none` without one."""
        return "none" if self.distance is None else self.distance.name

    def is_adversarial(self, step: int) -> bool:
        """Whether the adversary takes part in this step."""
        return self.adversary > 0 and step >= self.adversary_start

    def reconstruction(self, images: Tensor, rebuilt: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Weighted L1 and perceptual distance of images [B, 3, H, W], and each by its name."""
        terms = {"l1": functional.l1_loss(rebuilt, images)}
        total = self.l1 * terms["l1"]
        if self.distance is not None:
            terms[self.name] = self.distance(rebuilt, images).float().mean()
            total = total + self.perceptual * terms[self.name]
        return total, terms

    def forward(
        self,
        images: Tensor,
        rebuilt: Reconstruction,
        adversary: nn.Module | None,
        last_layer: Tensor,
        agree: Callable[[Tensor], Tensor],
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """A scalar whose gradients are those of the loss, and the terms by name.

        The gradients of reconstruction and adversary at the pixels are taken once; they serve the
        adaptive weight and, through the scalar `sum(pixels * gradient)`, the update as well.

        Args:
            images: [B, 3, H, W] in [-1, 1].
            rebuilt: what the autoencoder makes of them.
            adversary: the discriminator, where it takes part; its weights get no gradient.
            last_layer: weight of the layer that makes the pixels.
            agree: mean over the processes of a scalar.
        """
        pixels = rebuilt.images.detach().requires_grad_()  # [B, 3, H, W]
        distance, terms = self.reconstruction(images, pixels)
        (gradient,) = torch.autograd.grad(distance, pixels)  # [B, 3, H, W]
        if adversary is not None:
            generator = generator_hinge(adversary(pixels).float())
            (other,) = torch.autograd.grad(generator, pixels)  # [B, 3, H, W]
            at_last_layer = [
                torch.autograd.grad(rebuilt.images, last_layer, at_pixels, retain_graph=True)[0]
                for at_pixels in (gradient, other)
            ]
            weight = self.adversary * agree(adaptive_weight(*at_last_layer))
            gradient = gradient + weight * other
            terms |= {"generator": generator, "adaptive_weight": weight}
        divergence = kl_to_standard_normal(rebuilt)
        terms |= {"kl": divergence, "loss": distance + self.kl * divergence}
        return (rebuilt.images * gradient).sum() + self.kl * divergence, terms


def kl_to_standard_normal(rebuilt: Reconstruction) -> Tensor:
    """KL(N(mean, exp(logvar)) || N(0, 1)), summed over the latents, per pixel value of the picture.

    Kingma and Welling 2013 (arXiv 1312.6114), appendix B.
    """
    mean, logvar = rebuilt.mean, rebuilt.logvar
    return 0.5 * (mean.square() + logvar.exp() - 1 - logvar).sum() / rebuilt.images.numel()


def discriminator_hinge(real: Tensor, rebuilt: Tensor) -> Tensor:
    """Hinge loss of a discriminator from its logits (Lim and Ye 2017, arXiv 1705.02894), halved."""
    return 0.5 * (functional.relu(1 - real).mean() + functional.relu(1 + rebuilt).mean())


def generator_hinge(rebuilt: Tensor) -> Tensor:
    """Hinge loss of the generator, here the autoencoder, from the discriminator's logits."""
    return -rebuilt.mean()


def adaptive_weight(reconstruction: Tensor, generator: Tensor) -> Tensor:
    """lambda = |grad reconstruction| / (|grad generator| + delta), gradients at the last layer."""
    ratio = reconstruction.norm() / (generator.norm() + ADAPTIVE_EPS)
    return ratio.clamp(0, ADAPTIVE_LIMIT).detach()
