"""The KL autoencoder in training: sizes, seeds, and the sample that it decodes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL

from facecond.errors import UserError
from facecond.models.kl_autoencoder import KlAutoencoder, build_kl_autoencoder, reduction

TINY: dict[str, Any] = {
    "block_out_channels": (8, 16),
    "layers_per_block": 1,
    "latent_channels": 3,
    "norm_num_groups": 4,
    "mid_block_add_attention": False,
}


@pytest.mark.parametrize(("blocks", "factor"), [((8,), 1), ((8, 8, 16), 4), ((8, 8, 8, 16), 8)])
def test_every_block_but_the_last_halves(blocks: tuple[int, ...], factor: int) -> None:
    assert reduction(blocks) == factor
    model = KlAutoencoder(build_kl_autoencoder(24, **(TINY | {"block_out_channels": blocks})))
    images = torch.rand(2, 3, 24, 40)  # any size that the factor divides
    shape = model.latent_shape(images)
    assert shape == (2, 3, 24 // factor, 40 // factor)
    rebuilt = model(images, torch.zeros(shape))
    assert rebuilt.images.shape == images.shape
    assert rebuilt.mean.shape == rebuilt.logvar.shape == shape


def test_it_decodes_a_sample_of_the_distribution() -> None:
    model = KlAutoencoder(build_kl_autoencoder(16, **TINY)).eval()
    images, noise = torch.rand(2, 3, 16, 16) * 2 - 1, torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        posterior = model.autoencoder.encode(images).latent_dist
        rebuilt = model(images, noise)
        expected = model.autoencoder.decode(posterior.mean + posterior.std * noise).sample
        mode = model.autoencoder.decode(posterior.mode()).sample
    assert torch.equal(rebuilt.mean, posterior.mean) and torch.equal(
        rebuilt.logvar, posterior.logvar
    )
    torch.testing.assert_close(rebuilt.images, expected)
    torch.testing.assert_close(model(images, torch.zeros_like(noise)).images, mode)
    assert not torch.allclose(expected, mode)


def test_the_last_layer_makes_the_pixels() -> None:
    model = KlAutoencoder(build_kl_autoencoder(16, **TINY))
    images = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        model.last_layer.zero_()
        rebuilt = model(images, torch.zeros(1, 3, 8, 8)).images
    bias = model.autoencoder.decoder.conv_out.bias
    torch.testing.assert_close(rebuilt, bias.detach().view(1, 3, 1, 1).expand_as(rebuilt))


def test_weights_are_keyed_by_the_seed() -> None:
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    first, again, other = (build_kl_autoencoder(16, **TINY, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)

    def flat(model: AutoencoderKL) -> torch.Tensor:
        return torch.cat([p.flatten() for p in model.parameters()])

    assert torch.equal(flat(first), flat(again)) and not torch.equal(flat(first), flat(other))


@pytest.mark.parametrize(
    ("size", "options", "message"),
    [
        (17, {}, "17 px pictures cannot be divided by 2"),
        (60, {"block_out_channels": (8,) * 4}, "60 px pictures cannot be divided by 8"),
        (16, {"norm_num_groups": 3}, "norm_num_groups 3 does not divide 8"),
    ],
)
def test_sizes_that_do_not_divide_are_named(
    size: int, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        build_kl_autoencoder(size, **(TINY | options))
