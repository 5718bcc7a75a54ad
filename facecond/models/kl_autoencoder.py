"""A KL autoencoder to be trained: diffusers' AutoencoderKL, built and sampled from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from facecond.errors import UserError
from facecond.seeding import key_of


class Reconstruction(NamedTuple):
    """What a variational autoencoder makes of pictures."""

    images: Tensor
    """[B, 3, H, W], not clamped."""
    mean: Tensor
    """Of the latents' distribution, [B, C, h, w]."""
    logvar: Tensor
    """[B, C, h, w]."""


class KlAutoencoder(nn.Module):
    """An AutoencoderKL whose forward pass decodes a sample of the latents' distribution.

    The noise is an argument: whoever trains keys it to the step.
    """

    def __init__(self, autoencoder: AutoencoderKL) -> None:
        super().__init__()
        self.autoencoder = autoencoder

    @property
    def last_layer(self) -> Tensor:
        """Weight of the convolution that makes the pixels; the adaptive weight looks at it."""
        return self.autoencoder.decoder.conv_out.weight

    def latent_shape(self, images: Tensor) -> tuple[int, int, int, int]:
        """Shape [B, C, h, w] of the latents of images [B, 3, H, W]."""
        config = self.autoencoder.config
        batch, _, height, width = images.shape
        factor = reduction(config.block_out_channels)
        return batch, config.latent_channels, height // factor, width // factor

    def forward(self, images: Tensor, noise: Tensor) -> Reconstruction:
        """Images [B, 3, H, W] in [-1, 1] and standard normal noise [B, C, h, w]."""
        posterior = self.autoencoder.encode(images).latent_dist
        mean, logvar = posterior.mean.float(), posterior.logvar.float()  # [B, C, h, w] each
        latents = mean + (0.5 * logvar).exp() * noise  # [B, C, h, w]
        latents = latents.contiguous(memory_format=torch.channels_last)
        decoded = self.autoencoder.decode(latents).sample  # [B, 3, H, W]
        return Reconstruction(decoded.float(), mean, logvar)


def reduction(block_out_channels: Sequence[int]) -> int:
    """Pixels per latent pixel, along one side: every block but the last halves the picture."""
    return 2 ** (len(block_out_channels) - 1)


def build_kl_autoencoder(
    image_size: int,
    block_out_channels: Sequence[int] = (128, 256, 512),
    layers_per_block: int = 2,
    latent_channels: int = 3,
    norm_num_groups: int = 32,
    mid_block_add_attention: bool = True,
    seed: int = 0,
) -> AutoencoderKL:
    """A new AutoencoderKL for pictures of `image_size`; the arguments are diffusers'.

    Raises:
        UserError: sizes that do not divide.
    """
    factor = reduction(block_out_channels)
    if image_size % factor:
        raise UserError(
            f"{image_size} px pictures cannot be divided by {factor}, "
            f"which {len(block_out_channels)} blocks reduce them by",
            "autoencoder.block_out_channels",
            "Use fewer blocks, or prepare the faces at another size.",
        )
    for channels in block_out_channels:
        if channels % norm_num_groups:
            raise UserError(
                f"norm_num_groups {norm_num_groups} does not divide {channels} channels",
                "autoencoder",
                "Give widths that are multiples of it.",
            )
    blocks = len(block_out_channels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key_of(seed, "autoencoder", "weights") >> 1)
        return AutoencoderKL(
            block_out_channels=tuple(block_out_channels),
            down_block_types=("DownEncoderBlock2D",) * blocks,
            up_block_types=("UpDecoderBlock2D",) * blocks,
            layers_per_block=layers_per_block,
            latent_channels=latent_channels,
            norm_num_groups=norm_num_groups,
            mid_block_add_attention=mid_block_add_attention,
            sample_size=image_size,
            force_upcast=False,
        )
