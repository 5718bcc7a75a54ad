"""What the training of a first stage would be: its parts, its checks, its description."""

from __future__ import annotations

from dataclasses import asdict

import torch
from diffusers import AutoencoderKL

from facecond import config as configs
from facecond.config import FirstStageRunConfig
from facecond.data.prepared import PreparedFolder
from facecond.errors import UserError
from facecond.models.discriminator import PatchDiscriminator
from facecond.models.kl_autoencoder import KlAutoencoder, build_kl_autoencoder
from facecond.models.lpips_distance import RANDOM, SMALLEST, LpipsDistance
from facecond.seeding import key_of
from facecond.training.plan import kept_bytes
from facecond.training.setup import check_length

ASSUMED_SIZE = 256


def autoencoder_for(config: FirstStageRunConfig, image_size: int) -> AutoencoderKL:
    """A new autoencoder for pictures of `image_size`."""
    return build_kl_autoencoder(image_size, **asdict(config.autoencoder), seed=config.train.seed)


def discriminator_for(config: FirstStageRunConfig) -> PatchDiscriminator:
    """A new discriminator."""
    options = config.discriminator
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key_of(config.train.seed, "discriminator", "weights") >> 1)
        return PatchDiscriminator(options.width, options.layers)


def check(config: FirstStageRunConfig, image_size: int) -> None:
    """Raise `UserError` where the config does not fit pictures of this size."""
    if config.discriminator.width % 8:
        raise UserError(
            f"width {config.discriminator.width} is no multiple of 8",
            "discriminator.width",
            "Round it.",
        )
    with torch.device("meta"):
        autoencoder_for(config, image_size)
        discriminator = discriminator_for(config)
    if config.loss.adversary and image_size < discriminator.smallest_image:
        raise UserError(
            f"{image_size} px pictures are too small for {config.discriminator.layers} layers, "
            f"which take {discriminator.smallest_image} px at least",
            "discriminator.layers",
            "Use fewer layers.",
        )
    if config.loss.perceptual and image_size < SMALLEST:
        raise UserError(
            f"a perceptual distance takes pictures of {SMALLEST} px at least, not {image_size}",
            "loss.perceptual",
            "Set it to 0.",
        )


def describe(config: FirstStageRunConfig) -> str:
    """The resolved run as text; the autoencoder is built without memory, so any size is fine.

    Raises:
        UserError: what the training would find wrong in the config before it reads pictures.
    """
    check_length(config)
    size, known = ASSUMED_SIZE, "assumed: data.root is not set"
    if config.data.root:
        size, known = PreparedFolder.open(config.data.root).image_size, config.data.root
    check(config, size)
    loss, batch = config.loss, config.train.batch_size
    if loss.perceptual and loss.perceptual_trunk not in ("", RANDOM):
        LpipsDistance(loss.perceptual_net, loss.perceptual_trunk)  # a missing file is found here
    with torch.device("meta"):
        model = KlAutoencoder(autoencoder_for(config, size))
        discriminator = discriminator_for(config)
        if config.train.gradient_checkpointing:
            model.autoencoder.enable_gradient_checkpointing()
        images = torch.zeros(batch, 3, size, size)
    shape = model.latent_shape(images)

    def forward() -> None:
        model(images, torch.zeros(shape))

    gib = kept_bytes(config, {id(p) for p in model.parameters()}, forward) / 2**30
    sizes = [sum(p.numel() for p in x.parameters()) / 1e6 for x in (model, discriminator)]
    compression = 3 * size**2 / (shape[1] * shape[2] * shape[3])
    used = f"from step {loss.adversary_start}" if loss.adversary else "left out"
    return "\n".join(
        [
            configs.dump(config).rstrip(),
            "",
            f"pictures       {size} px ({known})",
            f"latents        {shape[1]} x {shape[2]} x {shape[3]}, "
            f"{compression:.1f} times fewer values than the picture",
            f"parameters     {sizes[0]:.2f} M, and {sizes[1]:.2f} M of the discriminator",
            f"discriminator  {used}; one logit per patch of {discriminator.receptive_field} px",
            f"activations    about {gib:.2f} GiB of the autoencoder at batch {batch}",
        ]
    )
