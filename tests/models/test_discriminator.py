"""The patch discriminator: what one verdict sees, and what it does not depend on."""

from __future__ import annotations

import pytest
import torch

from facecond.models.discriminator import PatchDiscriminator


def make(layers: int, width: int = 8) -> PatchDiscriminator:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return PatchDiscriminator(width, layers)


@pytest.mark.parametrize(("layers", "patch"), [(1, 16), (2, 34), (3, 70)])
def test_one_verdict_sees_one_patch(layers: int, patch: int) -> None:
    """The sizes of the paper, and the convolutions alone really reach that far and no farther."""
    discriminator = make(layers)
    assert discriminator.receptive_field == patch
    convolutions = [m for m in discriminator.body if isinstance(m, torch.nn.Conv2d)]
    images = torch.zeros(1, 3, 160, 160, requires_grad=True)
    x = images
    for convolution in convolutions:
        convolution.weight.data.fill_(1.0)  # nothing cancels
        x = convolution(x)
    middle = x.shape[-1] // 2
    x[0, 0, middle, middle].backward()
    assert images.grad is not None
    seen = images.grad[0].abs().sum(0) > 0
    for axis in (0, 1):
        reached = seen.any(axis).nonzero().flatten()
        assert len(reached) == patch == int(reached[-1] - reached[0]) + 1


def test_shape_and_smallest_picture() -> None:
    assert make(3)(torch.zeros(2, 3, 256, 256)).shape == (2, 1, 30, 30)
    assert make(2)(torch.zeros(2, 3, 64, 48)).shape == (2, 1, 14, 10)
    for layers in (1, 2, 3):
        discriminator = make(layers)
        side = discriminator.smallest_image
        assert discriminator(torch.zeros(1, 3, side, side)).shape == (1, 1, 1, 1)
        with pytest.raises(RuntimeError):
            discriminator(torch.zeros(1, 3, side - 1, side - 1))


def test_a_verdict_depends_on_its_own_picture_alone() -> None:
    discriminator, pictures = make(2).train(), torch.rand(4, 3, 64, 64)
    alone = torch.cat([discriminator(picture[None]) for picture in pictures])
    assert torch.allclose(discriminator(pictures), alone, atol=1e-6)


def test_widths_double_up_to_eight_times() -> None:
    widths = [m.out_channels for m in make(5).body if isinstance(m, torch.nn.Conv2d)]
    assert widths == [8, 16, 32, 64, 64, 64, 1]
