"""Objective against closed forms: targets, conversions, the density of noise levels."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import pytest
import torch
from torch import Tensor

from facecond.diffusion.guidance import guide
from facecond.diffusion.objective import (
    NUM_BINS,
    PREDICTIONS,
    WEIGHTINGS,
    Objective,
    bin_of,
    convert,
    target_to_x0_weight,
)
from facecond.diffusion.paths import alpha_sigma, log_snr, snr, t_of_log_snr
from facecond.errors import UserError

VP = ("linear", "scaled_linear", "cosine")
ALLOWED = [("flow", "flow"), ("flow", "v")] + [(s, p) for s in VP for p in PREDICTIONS]
LEVELS = torch.linspace(0.002, 0.998, 250, dtype=torch.float64)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(count: int) -> tuple[Tensor, Tensor]:
    shape = (2, count, 3, 2, 2)
    x_0, noise = torch.randn(shape, generator=generator(), dtype=torch.float64)
    return x_0, noise


@pytest.mark.parametrize(("schedule", "prediction"), ALLOWED)
def test_targets_and_inverses(schedule: str, prediction: str) -> None:
    objective = Objective(schedule, prediction)
    x_0, noise = drawn(len(LEVELS))
    alpha, sigma = (c.view(-1, 1, 1, 1) for c in alpha_sigma(schedule, LEVELS))
    x_t = objective.add_noise(x_0, noise, LEVELS)
    assert torch.allclose(x_t, alpha * x_0 + sigma * noise)
    target = objective.target(x_0, noise, LEVELS)
    length = (alpha.square() + sigma.square()).sqrt()
    forms = {"epsilon": noise, "v": (alpha * noise - sigma * x_0) / length, "flow": noise - x_0}
    assert torch.allclose(target, forms[prediction])
    assert torch.allclose(objective.to_x0(x_t, target, LEVELS), x_0, atol=1e-6)


@pytest.mark.parametrize(("schedule", "prediction"), ALLOWED)
def test_target_weight_is_the_ratio_of_errors(schedule: str, prediction: str) -> None:
    """u(SNR) |error of x_0|^2 = |error of the prediction|^2, measured by perturbing."""
    objective = Objective(schedule, prediction)
    x_0, noise = drawn(len(LEVELS))
    x_t = objective.add_noise(x_0, noise, LEVELS)
    target = objective.target(x_0, noise, LEVELS)
    delta = 0.3
    moved = objective.to_x0(x_t, target + delta, LEVELS)
    ratio = delta**2 / (moved - x_0)[:, 0, 0, 0].square()
    ratios = snr(schedule, LEVELS)
    assert torch.allclose(target_to_x0_weight(prediction, ratios), ratio, rtol=1e-5)
    closed = {"epsilon": ratios, "v": ratios + 1, "flow": (1 + ratios.sqrt()).square()}
    assert torch.allclose(ratio, closed[prediction], rtol=1e-5)
    # Uniform weighting is uniform on the target.
    uniform = Objective(schedule, prediction, weighting="uniform")
    assert torch.allclose(uniform.weight(LEVELS), torch.ones_like(LEVELS))


def test_v_is_the_same_on_every_path_at_equal_snr() -> None:
    """A path is a point on the circle of the variance-preserving ones, times a length."""
    x_0, noise = drawn(len(LEVELS))
    on_flow = Objective("flow", "v").target(x_0, noise, LEVELS)
    for schedule in VP:
        least = log_snr(schedule, torch.ones(1, dtype=torch.float64))
        ratios = log_snr("flow", LEVELS)
        reached = ratios >= least
        t = t_of_log_snr(schedule, ratios)
        theirs = Objective(schedule, "v").target(x_0, noise, t)
        assert reached.sum() > 200
        assert torch.allclose(on_flow[reached], theirs[reached], atol=1e-9)


@pytest.mark.parametrize(("schedule", "source"), ALLOWED)
def test_a_prediction_can_be_said_as_every_other(schedule: str, source: str) -> None:
    x_0, noise = drawn(len(LEVELS))
    objective = Objective(schedule, source)
    x_t = objective.add_noise(x_0, noise, LEVELS)
    # Not the truth: what another x_0 and noise, which x_t is made of as well, would be.
    alpha, sigma = (c.view(-1, 1, 1, 1) for c in alpha_sigma(schedule, LEVELS))
    believed = x_0 + 0.3 * noise.flip(0)
    rest = (x_t - alpha * believed) / sigma
    prediction = objective.target(believed, rest, LEVELS)
    for path, target in ALLOWED:
        if path == schedule:
            said = convert(prediction, x_t, LEVELS, schedule, source, target)
            expected = Objective(schedule, target).target(believed, rest, LEVELS)
            assert torch.allclose(said, expected, rtol=1e-6, atol=1e-9)
            back = convert(said, x_t, LEVELS, schedule, target, source)
            assert torch.allclose(back, prediction, rtol=1e-6, atol=1e-6)
            # Guidance before or after makes no difference.
            other = prediction + 0.2 * noise
            guided = guide(prediction, {"mask": other}, {"mask": 3.0})
            late = convert(guided, x_t, LEVELS, schedule, source, target)
            others = convert(other, x_t, LEVELS, schedule, source, target)
            early = guide(said, {"mask": others}, {"mask": 3.0})
            assert torch.allclose(late, early, rtol=1e-6, atol=1e-6)
    assert torch.allclose(
        convert(prediction, x_t, LEVELS, schedule, source, "x_0"), believed, atol=1e-6
    )


@pytest.mark.parametrize("schedule", ["flow", *VP])
@pytest.mark.parametrize("t", [0.0, 1e-3, 1.0])
def test_v_and_flow_convert_exactly_at_the_ends(schedule: str, t: float) -> None:
    """In float32: what a sampler's first and last step need."""
    x_0, noise = (x.float() for x in drawn(1))
    level = torch.tensor(t)
    v, flow = Objective(schedule, "v"), Objective(schedule, "flow")
    x_t = v.add_noise(x_0, noise, level)
    from_v = convert(v.target(x_0, noise, level), x_t, level, schedule, "v", "flow")
    assert torch.allclose(from_v, noise - x_0, atol=1e-5)
    from_flow = convert(noise - x_0, x_t, level, schedule, "flow", "v")
    assert torch.allclose(from_flow, v.target(x_0, noise, level), atol=1e-5)
    assert torch.allclose(flow.to_x0(x_t, noise - x_0, level), x_0, atol=1e-5)


DENSITIES: list[dict[str, Any]] = [
    {"density": "uniform"},
    {"density": "logit_normal"},
    {"density": "logit_normal", "density_mean": 0.8, "density_std": 0.6},
]


@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize(("schedule", "prediction"), [
    ("flow", "flow"), ("flow", "v"), ("linear", "flow"), ("linear", "v"), ("cosine", "epsilon"),
])  # fmt: skip
@pytest.mark.parametrize("weighting", ["p2", "min_snr"])
def test_weight_has_mean_one_under_the_density(
    schedule: str, prediction: str, weighting: str, density: dict[str, Any]
) -> None:
    objective = Objective(schedule, prediction, weighting, 1.0, 1.0, **density)
    count = 200_000
    if density["density"] == "uniform":
        t = torch.rand(count, generator=generator())
    else:  # drawn by the definition, not by the class's own quantile function
        normal = torch.randn(count, generator=generator())
        mean, std = density.get("density_mean", 0.0), density.get("density_std", 1.0)
        t = torch.sigmoid(mean + std * normal)
    weight = objective.weight(t).double()
    bound = 5 * float(weight.std()) / math.sqrt(count) + 1e-4
    assert abs(float(weight.mean()) - 1) < bound


def cdf(objective: Objective, t: Tensor) -> Tensor:
    """Distribution function of the density, by the definition."""
    if objective.density == "uniform":
        return t
    logit = (t / (1 - t)).log()
    return torch.special.ndtr((logit - objective.density_mean) / objective.density_std)


@pytest.mark.parametrize("density", DENSITIES)
def test_drawn_levels_are_one_per_stratum(density: dict[str, Any]) -> None:
    objective = Objective(**density)
    batch = 32
    randomness = generator(7)
    orders = set()
    for _ in range(20):
        t = objective.sample_t(batch, randomness)
        assert t.shape == (batch,) and ((t > 0) & (t < 1)).all()
        strata = (cdf(objective, t.double()) * batch).floor().long()
        assert sorted(strata.tolist()) == list(range(batch))
        orders.add(tuple(strata.tolist()))
    assert len(orders) == 20  # which sample gets which stratum is drawn too
    first, again = (objective.sample_t(batch, generator(1)) for _ in range(2))
    assert torch.equal(first, again)


@pytest.mark.parametrize("density", DENSITIES)
def test_quantiles_are_those_of_the_density(density: dict[str, Any]) -> None:
    objective = Objective(**density)
    u = torch.tensor([0.01, 0.2, 0.5, 0.8, 0.99], dtype=torch.float64)
    assert torch.allclose(cdf(objective, objective.quantile(u)), u, atol=1e-9)
    if density["density"] == "logit_normal":
        normal = NormalDist(objective.density_mean, objective.density_std)
        expected = [1 / (1 + math.exp(-normal.inv_cdf(float(p)))) for p in u]
        assert objective.quantile(u).tolist() == pytest.approx(expected, rel=1e-9)
    # A single sample is drawn from the density, not from a stratum's middle.
    draws = torch.cat([objective.sample_t(1, generator(seed)) for seed in range(400)])
    ranks = cdf(objective, draws.double()).sort().values
    steps = (torch.arange(400) + 0.5) / 400
    assert (ranks - steps).abs().max() < 0.1  # Kolmogorov-Smirnov, p about 1e-4


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_epsilon_is_refused_where_the_signal_vanishes(weighting: str) -> None:
    with pytest.raises(UserError, match="SNR 0 at t = 1"):
        Objective("flow", "epsilon", weighting)


@pytest.mark.parametrize("values", [{"k": 0.0}, {"gamma": -1.0}, {"density_std": 0.0}])
def test_numbers_out_of_range_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(UserError, match="must be above 0"):
        Objective(**values)


@pytest.mark.parametrize("weighting", ["min_snr", "soft_min_snr"])
def test_a_clamp_of_zero_is_refused(weighting: str) -> None:
    with pytest.raises(UserError, match="gamma"):
        Objective(weighting=weighting, gamma=0.0)


@pytest.mark.parametrize(("schedule", "prediction"), ALLOWED)
def test_loss_is_the_weighted_squared_error(schedule: str, prediction: str) -> None:
    objective = Objective(schedule, prediction)
    x_0, noise = (x.float() for x in drawn(4))
    t = torch.tensor([0.05, 0.4, 0.7, 0.95])
    target = objective.target(x_0, noise, t)
    assert not objective.loss(target, x_0, noise, t).any()
    offsets = torch.tensor([1.0, 2.0, 3.0, 4.0])
    loss = objective.loss(target + offsets.view(-1, 1, 1, 1), x_0, noise, t)
    assert torch.allclose(loss, objective.weight(t) * offsets.square(), rtol=1e-5)
    half = objective.loss((target + 1).bfloat16(), x_0, noise, t)
    assert half.dtype == torch.float32


@pytest.mark.parametrize(("schedule", "prediction"), ALLOWED)
@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_weights_are_finite_at_the_ends(schedule: str, prediction: str, weighting: str) -> None:
    objective = Objective(schedule, prediction, weighting)
    weight = objective.weight(torch.tensor([0.0, 1e-5, 1 - 1e-5, 1.0]))
    assert torch.isfinite(weight).all() and (weight >= 0).all()


def test_the_network_is_told_the_samplers_timestep() -> None:
    for schedule, prediction in ALLOWED:
        told = Objective(schedule, prediction).timestep(torch.tensor([0.25, 1.0]))
        last = 1000 if schedule == "flow" else 999
        assert told.tolist() == pytest.approx([last - 750, last], abs=1e-3)


def test_bins_are_tenths() -> None:
    t = torch.tensor([0.0, 0.0999, 0.1001, 0.55, 0.999, 1.0])
    assert bin_of(t).tolist() == [0, 0, 1, 5, 9, 9]


@pytest.mark.parametrize("density", DENSITIES)
def test_effective_weight_is_density_times_weight(density: dict[str, Any]) -> None:
    uniform = Objective(weighting="uniform", **density)
    shares = uniform.effective_weight()
    assert len(shares) == NUM_BINS and sum(shares) == pytest.approx(1)
    edges = torch.linspace(0, 1, NUM_BINS + 1, dtype=torch.float64).clamp(1e-12, 1 - 1e-12)
    expected = cdf(uniform, edges).diff().tolist()
    assert shares == pytest.approx(expected, abs=2e-4)
    weighted = Objective(weighting="p2", **density)
    centres = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    density_of = cdf(uniform, torch.linspace(0, 1, 200_001).double().clamp(1e-12, 1 - 1e-12)).diff()
    product = density_of * weighted.weight(centres)
    expected = (product / product.sum()).view(NUM_BINS, -1).sum(1).tolist()
    assert weighted.effective_weight() == pytest.approx(expected, abs=1e-3)
