"""The loss of a first stage against closed forms."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal, kl_divergence

from facecond.errors import UserError
from facecond.models.discriminator import PatchDiscriminator
from facecond.models.kl_autoencoder import Reconstruction
from facecond.training.first_stage_loss import (
    ADAPTIVE_EPS,
    ADAPTIVE_LIMIT,
    AutoencoderLoss,
    adaptive_weight,
    discriminator_hinge,
    generator_hinge,
    kl_to_standard_normal,
)


def plain(**options: float) -> AutoencoderLoss:
    return AutoencoderLoss(**({"perceptual": 0.0, "adversary": 0.0} | options))  # type: ignore[arg-type]


def alone(value: Tensor) -> Tensor:
    """The mean over one process."""
    return value


def test_hinge_losses() -> None:
    real, rebuilt = torch.tensor([-1.0, 0.5, 3.0]), torch.tensor([-2.0, -0.5, 1.0])
    # max(0, 1 - real) = 2, 0.5, 0; max(0, 1 + rebuilt) = 0, 0.5, 2
    assert discriminator_hinge(real, rebuilt).item() == pytest.approx((2.5 / 3 + 2.5 / 3) / 2)
    assert generator_hinge(rebuilt).item() == pytest.approx(0.5)
    assert discriminator_hinge(torch.full((4,), 1.0), torch.full((4,), -1.0)).item() == 0


def test_kl_is_that_of_torch() -> None:
    generator = torch.Generator().manual_seed(0)
    mean, logvar = torch.randn(2, 3, 5, 4, 4, generator=generator)
    pixels = torch.zeros(3, 3, 16, 16)
    posterior = Independent(Normal(mean, (0.5 * logvar).exp()), 3)
    prior = Independent(Normal(torch.zeros_like(mean), torch.ones_like(mean)), 3)
    total = kl_divergence(posterior, prior).sum()  # nats of three pictures
    found = kl_to_standard_normal(Reconstruction(pixels, mean, logvar))
    torch.testing.assert_close(found, total / pixels.numel())
    zero = torch.zeros_like(mean)
    assert kl_to_standard_normal(Reconstruction(pixels, zero, zero)).item() == 0


def test_adaptive_weight_on_a_toy() -> None:
    """pixel = w z with z = 3: the gradients at w are 3 dL/dpixel, and their ratio is the weight."""
    w, z = torch.tensor([2.0], requires_grad=True), 3.0
    rebuilding, generator = (w * z - 1).square().sum(), -0.5 * (w * z).sum()
    at_last = [
        torch.autograd.grad(part, w, retain_graph=True)[0] for part in (rebuilding, generator)
    ]
    assert [gradient.item() for gradient in at_last] == [3 * 2 * (6 - 1), 3 * -0.5]
    assert adaptive_weight(*at_last).item() == pytest.approx(30 / (1.5 + ADAPTIVE_EPS))
    assert adaptive_weight(torch.ones(2), torch.zeros(2)).item() == ADAPTIVE_LIMIT
    assert adaptive_weight(torch.zeros(2), torch.ones(2)).item() == 0


class Toy(nn.Module):
    """Encoder and decoder of one convolution each."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Conv2d(3, 4, 4, 4), nn.ConvTranspose2d(2, 3, 4, 4)

    def forward(self, images: Tensor) -> Reconstruction:
        mean, logvar = self.encoder(images).chunk(2, 1)
        return Reconstruction(self.decoder(mean + (0.5 * logvar).exp()), mean, logvar)


@pytest.mark.parametrize("adversarial", [False, True])
def test_gradients_are_those_of_the_written_loss(adversarial: bool) -> None:
    """The scalar that is differentiated has other values than the loss, and its gradients."""
    torch.manual_seed(0)
    toy, judge = Toy(), PatchDiscriminator(8, 1)
    loss = AutoencoderLoss(
        l1=0.7, perceptual=0.3, perceptual_trunk="random", kl=0.01, adversary=0.4, adversary_start=0
    )
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    scalar, terms = loss(
        images, toy(images), judge if adversarial else None, toy.decoder.weight, alone
    )
    found = torch.autograd.grad(scalar, list(toy.parameters()))
    assert all(weight.grad is None for weight in judge.parameters())

    rebuilt = toy(images)
    assert loss.distance is not None
    rebuilding = 0.7 * (rebuilt.images - images).abs().mean()
    rebuilding = rebuilding + 0.3 * loss.distance(rebuilt.images, images).mean()
    written = rebuilding + 0.01 * kl_to_standard_normal(rebuilt)
    assert terms["loss"].item() == pytest.approx(written.item(), rel=1e-5)
    if adversarial:
        generator = -judge(rebuilt.images).mean()
        norms = [
            torch.autograd.grad(part, toy.decoder.weight, retain_graph=True)[0].norm()
            for part in (rebuilding, generator)
        ]
        weight = 0.4 * norms[0] / (norms[1] + ADAPTIVE_EPS)
        assert terms["adaptive_weight"].item() == pytest.approx(weight.item(), rel=1e-4)
        written = written + weight.detach() * generator
    expected = torch.autograd.grad(written, list(toy.parameters()))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-7)


def test_the_adversary_waits_for_its_step() -> None:
    loss = plain(adversary=0.5, adversary_start=3)
    assert [loss.is_adversarial(step) for step in range(5)] == [False] * 3 + [True] * 2
    assert not plain(adversary_start=0).is_adversarial(10)


def test_a_random_trunk_is_never_called_lpips() -> None:
    images = torch.rand(2, 3, 32, 32)
    loss = AutoencoderLoss(perceptual=1.0, perceptual_net="squeeze", perceptual_trunk="random")
    _, terms = loss.reconstruction(images, images.flip(0))
    assert loss.name == "random_squeeze" and set(terms) == {"l1", "random_squeeze"}
    assert plain().name == "none" and set(plain().reconstruction(images, images)[1]) == {"l1"}


def test_faults_of_the_trunk_are_named() -> None:
    with pytest.raises(UserError, match="Did you mean 'squeeze'"):
        AutoencoderLoss(perceptual_net="sqeeze", perceptual_trunk="random")
    with pytest.raises(UserError, match=r"missing\.pth: there is no such file"):
        AutoencoderLoss(perceptual_trunk="missing.pth")
