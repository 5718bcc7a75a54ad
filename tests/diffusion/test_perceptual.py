"""Latent perceptual loss against closed forms, on features made by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from facecond.diffusion import perceptual as module
from facecond.diffusion.objective import Objective
from facecond.diffusion.paths import alpha_sigma
from facecond.diffusion.perceptual import LatentPerceptualLoss, inliers

ALLOWED = [("flow", "flow"), ("flow", "v")] + [
    (s, p) for s in ("linear", "scaled_linear", "cosine") for p in ("epsilon", "v", "flow")
]
QUIET = 0.02
"""A noise level at which every schedule has an SNR far above the least one."""


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def identity(latents: Tensor, layers: int) -> list[Tensor]:
    return [latents]


def copies(latents: Tensor, layers: int) -> list[Tensor]:
    return [latents] * layers


def loss_on(features: Callable[..., Any] = identity, **options: Any) -> LatentPerceptualLoss:
    options = {"mask_outliers": False} | options
    return LatentPerceptualLoss(features, Objective(), **options)


def of_pair(loss: LatentPerceptualLoss, predicted: Tensor, target: Tensor) -> Tensor:
    """The loss where the one-step estimate is `predicted` and the truth `target`."""
    t = torch.full((len(target),), QUIET)
    # Flow: x0_hat = x_t - t prediction, at x_t = 0.
    return loss(-predicted / QUIET, torch.zeros_like(target), target, t)


def maps(*channels: list[list[float]]) -> Tensor:
    return torch.tensor([channels])


@pytest.mark.parametrize(("schedule", "prediction"), ALLOWED)
@pytest.mark.parametrize("normalise", ["target", "prediction", "own"])
@pytest.mark.parametrize("per", ["channel", "pixel"])
def test_a_perfect_prediction_costs_nothing(
    schedule: str, prediction: str, normalise: str, per: str
) -> None:
    objective = Objective(schedule, prediction)
    x_0, noise = torch.randn(2, 5, 3, 8, 8, generator=generator())
    t = torch.tensor([0.01, 0.05, 0.1, 0.5, 0.9])
    x_t, target = objective.add_noise(x_0, noise, t), objective.target(x_0, noise, t)
    loss = LatentPerceptualLoss(identity, objective, normalise=normalise, per=per)
    assert loss(target, x_t, x_0, t).max() < 1e-6
    assert loss(target + noise.flip(0), x_t, x_0, t)[:3].min() > 1e-6


TARGET = maps([[3.0, -3.0], [3.0, -3.0]], [[4.0, -4.0], [4.0, -4.0]])
SHARE = 1 + module.FLOOR
ONE_PER_CHANNEL = (9 / (9 + 0.01 * 12.5) + 16 / (16 + 0.01 * 12.5)) / 2


@pytest.mark.parametrize(
    ("predicted", "per", "by_target", "by_prediction", "own"),
    [
        # Twice as large: one target away by its statistics, half by the prediction's, or nothing.
        (2 * TARGET, "channel", ONE_PER_CHANNEL, ONE_PER_CHANNEL / 4, 0.0),
        (2 * TARGET, "pixel", 1 / SHARE, 1 / 4 / SHARE, 0.0),
        # Brighter: each channel's own mean hides it.
        (TARGET + 1, "channel", (1 / 9.125 + 1 / 16.125) / 2, (1 / 9.125 + 1 / 16.125) / 2, 0.0),
        # Another direction of the same length: all three agree.
        (TARGET.flip(1), "pixel", 1 / 12.5 / SHARE, 1 / 12.5 / SHARE, 1 / 12.5 / SHARE),
    ],
)
def test_known_values_of_each_normalisation(
    predicted: Tensor, per: str, by_target: float, by_prediction: float, own: float
) -> None:
    for normalise, expected in (
        ("target", by_target), ("prediction", by_prediction), ("own", own),
    ):  # fmt: skip
        found = of_pair(loss_on(normalise=normalise, per=per, layers=1), predicted, TARGET)
        assert found.item() == pytest.approx(expected, rel=1e-4, abs=1e-6), normalise


def test_the_released_codes_form_and_the_papers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FLOOR", 0.0)
    predicted, target = torch.randn(2, 4, 6, 5, 5, generator=generator(1)) + 0.3
    width = target.norm(dim=1, keepdim=True)
    code = ((predicted / width - target / width) ** 2).mean((1, 2, 3)) * 6  # x channels: see module
    found = of_pair(loss_on(normalise="target", per="pixel"), predicted, target)
    assert torch.allclose(found, code, rtol=1e-3)
    own = predicted / predicted.norm(dim=1, keepdim=True) - target / width
    found = of_pair(loss_on(normalise="own", per="pixel"), predicted, target)
    assert torch.allclose(found, (own**2).mean((1, 2, 3)) * 6, rtol=1e-3)
    mean, std = predicted.mean((2, 3), True), predicted.std((2, 3), correction=0, keepdim=True)
    paper = (((predicted - mean) / std - (target - mean) / std) ** 2).mean((1, 2, 3))
    found = of_pair(loss_on(normalise="prediction", per="channel"), predicted, target)
    assert torch.allclose(found, paper, rtol=1e-3)


def test_the_predictions_statistics_have_a_gradient_of_their_own() -> None:
    """A blurred prediction is pulled to be stronger, which detached statistics would not tell."""
    target = torch.randn(1, 1, 16, 16, generator=generator(2))
    strength = torch.tensor(0.5, requires_grad=True)
    noise = torch.randn(1, 1, 16, 16, generator=generator(3))
    of_pair(loss_on(normalise="prediction"), strength * noise, target).sum().backward()
    step, values = 1e-2, []
    for moved in (0.5 + step, 0.5 - step):
        values.append(of_pair(loss_on(normalise="prediction"), moved * noise, target).item())
    assert strength.grad is not None
    assert strength.grad.item() == pytest.approx((values[0] - values[1]) / (2 * step), rel=0.01)
    assert strength.grad.item() < 0
    by_target = torch.tensor(0.5, requires_grad=True)
    of_pair(loss_on(normalise="target"), by_target * noise, target).sum().backward()
    assert by_target.grad is not None and by_target.grad.item() > 0  # unrelated: weaker is better


def test_deeper_maps_count_half_as_much_each() -> None:
    predicted, target = torch.randn(2, 3, 2, 4, 4, generator=generator())
    one = of_pair(loss_on(copies, layers=1), predicted, target)
    three = of_pair(loss_on(copies, layers=3), predicted, target)
    assert torch.allclose(three, one * 1.75)


def closed_snr(schedule: str, t: float) -> float:
    """SNR by the definitions: DDPM's betas as an integral, Nichol & Dhariwal's cosine, a line."""
    if schedule == "flow":
        return ((1 - t) / t) ** 2
    if schedule == "linear":
        bar = math.exp(-(0.1 * t + 19.9 * t * t / 2))
    elif schedule == "scaled_linear":
        bar = math.exp(-sum((0.85**0.5 + (12**0.5 - 0.85**0.5) * (i + 0.5) / 4000 * t) ** 2
                            for i in range(4000)) / 4000 * t)  # fmt: skip
    else:

        def level(s: float) -> float:
            return math.cos((s * 0.999 + 0.008) / 1.008 * math.pi / 2) ** 2

        bar = level(t) / level(0)  # fmt: skip
    return bar / (1 - bar)


@pytest.mark.parametrize(("schedule", "prediction"), ALLOWED)
@pytest.mark.parametrize("least", [0.5, 4.0])
def test_only_samples_with_enough_signal_count(
    schedule: str, prediction: str, least: float
) -> None:
    objective = Objective(schedule, prediction)
    t = torch.linspace(0.02, 0.98, 97)
    x_0, noise = torch.randn(2, len(t), 2, 4, 4, generator=generator())
    seen: list[Tensor] = []

    def features(latents: Tensor, layers: int) -> list[Tensor]:
        seen.append(latents)
        return [latents]

    loss = LatentPerceptualLoss(features, objective, min_snr=least)
    x_t = objective.add_noise(x_0, noise, t)
    wrong = (objective.target(x_0, noise, t) + 0.25).requires_grad_()
    found = loss(wrong, x_t, x_0, t)
    expected = torch.tensor([closed_snr(schedule, float(level)) >= least for level in t])
    assert 0 < expected.sum() < len(t)
    assert torch.equal(loss.active(t), expected) and torch.equal(found > 0, expected)
    found.sum().backward()
    assert wrong.grad is not None
    assert torch.equal(wrong.grad.abs().sum((1, 2, 3)) > 0, expected)
    # The network saw those alone: the truth, and the estimate that this prediction implies.
    truth, estimate = seen
    assert torch.equal(truth, x_0[expected]) and not truth.requires_grad
    alpha, sigma = (c[expected].view(-1, 1, 1, 1) for c in alpha_sigma(schedule, t))
    length = (alpha.square() + sigma.square()).sqrt()
    slope = {"epsilon": -sigma / alpha, "v": -sigma / length, "flow": -sigma / (alpha + sigma)}[
        prediction
    ]
    assert torch.allclose(estimate, truth + 0.25 * slope, atol=1e-5)


def test_a_batch_of_noise_never_reaches_the_network() -> None:
    def features(latents: Tensor, layers: int) -> list[Tensor]:
        raise AssertionError

    t = torch.tensor([0.5, 0.9])
    found = loss_on(features)(*torch.randn(3, 2, 1, 4, 4), t)
    assert found.tolist() == [0, 0]


def test_the_gradient_is_that_of_the_value() -> None:
    loss = loss_on(copies, layers=2, mask_outliers=True)
    predicted, target = torch.randn(2, 1, 2, 6, 6, generator=generator(4))
    leaf = predicted.clone().requires_grad_()
    of_pair(loss, leaf, target).sum().backward()
    direction = torch.randn(predicted.shape, generator=generator(5))
    ends = [of_pair(loss, predicted + s * 1e-2 * direction, target).item() for s in (1, -1)]
    assert leaf.grad is not None
    slope = (leaf.grad * direction).sum().item()
    assert slope == pytest.approx((ends[0] - ends[1]) / 2e-2, rel=0.02)


def test_planted_outliers_are_masked_with_their_surroundings() -> None:
    features = torch.randn(2, 3, 16, 16, generator=generator())
    assert inliers(features).all()
    features[0, 1, 5, 7] = 40
    features[1, 2, 0, 15] = -40  # in a corner
    kept = torch.ones(2, 3, 16, 16, dtype=torch.bool)
    kept[0, 1, 4:7, 6:9] = False
    kept[1, 2, :2, 14:] = False
    assert torch.equal(inliers(features), kept)
    assert inliers(torch.ones(1, 1, 4, 4)).all()  # no spread, no outlier


def test_what_happens_at_an_outlier_does_not_count() -> None:
    target = torch.randn(1, 2, 16, 16, generator=generator())
    target[0, 0, 5, 7] = 40
    beside = target.clone()
    beside[0, 0, 4:7, 6:9] += 3
    elsewhere = target.clone()
    elsewhere[0, 1, 12, 3] += 3
    masked = loss_on(normalise="target", mask_outliers=True)
    assert of_pair(masked, beside, target).item() < 1e-6
    assert of_pair(loss_on(normalise="target"), beside, target).item() > 1e-3
    # Of 512 values 503 are kept, nine of the first channel's 256 are not.
    power = target[0, 1].var(correction=0)
    both = (power + target[0, 0].var(correction=0)) / 2
    expected = 9 / (power + module.FLOOR * both) / 256 / 2
    assert of_pair(masked, elsewhere, target).item() == pytest.approx(float(expected), rel=1e-3)


@pytest.mark.parametrize("per", ["channel", "pixel"])
def test_what_is_silent_is_not_blown_up(per: str) -> None:
    target = torch.randn(1, 4, 8, 8, generator=generator())
    silent = (slice(None), 2) if per == "channel" else (slice(None), slice(None), 3)
    target[silent] *= 1e-6
    predicted = target.clone()
    predicted[silent] += 1e-3 * torch.randn(predicted[silent].shape, generator=generator(1))
    for normalise in ("target", "prediction", "own"):
        assert of_pair(loss_on(normalise=normalise, per=per), predicted, target).item() < 1e-3


def test_features_may_be_bfloat16() -> None:
    predicted, target = torch.randn(2, 3, 2, 8, 8, generator=generator())

    def half(latents: Tensor, layers: int) -> list[Tensor]:
        return [latents.bfloat16()]

    rounded, exact = (of_pair(loss_on(f), predicted, target) for f in (half, identity))
    assert rounded.dtype == torch.float32
    assert torch.allclose(rounded, exact, rtol=0.02)


@pytest.mark.parametrize("normalise", ["target", "prediction", "own"])
@pytest.mark.parametrize("per", ["channel", "pixel"])
def test_descending_it_leads_to_the_true_latents_and_picture(normalise: str, per: str) -> None:
    """Through a small frozen decoder of two feature maps and a picture."""
    draw = generator(6)
    first, second, last = (
        torch.randn(out, into, 3, 3, generator=draw) / (3 * into**0.5)
        for out, into in ((8, 4), (8, 8), (3, 8))
    )

    def features(latents: Tensor, layers: int) -> list[Tensor]:
        coarse = functional.silu(functional.conv2d(latents, first, padding=1))
        wide = functional.interpolate(coarse, scale_factor=2.0)
        return [coarse, functional.silu(functional.conv2d(wide, second, padding=1))]

    def picture(latents: Tensor) -> Tensor:
        return functional.conv2d(features(latents, 2)[1], last, padding=1)

    small = torch.randn(3, 4, 4, 4, generator=draw)
    x_0 = functional.interpolate(small, size=12, mode="bicubic")
    noise, wrong = torch.randn(2, *x_0.shape, generator=draw)
    t = torch.tensor([0.1, 0.2, 0.3])
    objective = Objective()
    x_t = objective.add_noise(x_0, noise, t)
    # The one-step estimate begins half a standard deviation off.
    off = 0.5 * wrong / t.view(-1, 1, 1, 1)
    prediction = (objective.target(x_0, noise, t) + off).requires_grad_()
    loss = LatentPerceptualLoss(features, objective, normalise=normalise, per=per)
    optimizer = torch.optim.Adam([prediction], lr=0.2)

    @torch.no_grad()
    def distances() -> Tensor:
        """Root mean squares over latents and picture [3, 2]."""
        estimate = objective.to_x0(x_t, prediction, t)
        errors = (estimate - x_0, picture(estimate) - picture(x_0))
        return torch.stack([e.square().mean((1, 2, 3)).sqrt() for e in errors], 1)

    before = distances()
    for _ in range(100):
        optimizer.zero_grad()
        loss(prediction, x_t, x_0, t).sum().backward()
        optimizer.step()
    left = distances() / before
    assert (left[:, 0] < 0.5).all() and (left[:, 1] < 0.4).all(), left
