"""Objective against closed forms: schedules, targets, weights, the density of noise levels."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import diffusers
import pytest
import torch
from torch import Tensor

from facecond.diffusion.objective import (
    NUM_BINS,
    SCHEDULES,
    WEIGHTINGS,
    Objective,
    alpha_sigma,
    bin_of,
    snr,
    target_to_x0_weight,
    x0_weight,
)
from facecond.errors import UserError

VP = ("linear", "scaled_linear", "cosine")
ALLOWED = [("flow", "flow")] + [(s, p) for s in VP for p in ("epsilon", "v")]
DIFFUSERS: dict[str, dict[str, Any]] = {
    "linear": {"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02},
    "scaled_linear": {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
    "cosine": {"beta_schedule": "squaredcos_cap_v2"},
}
LEVELS = torch.linspace(0.002, 0.998, 250, dtype=torch.float64)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(count: int) -> tuple[Tensor, Tensor]:
    shape = (2, count, 3, 2, 2)
    x_0, noise = torch.randn(shape, generator=generator(), dtype=torch.float64)
    return x_0, noise


@pytest.mark.parametrize("schedule", VP)
def test_variance_is_preserved(schedule: str) -> None:
    t = torch.linspace(0, 1, 1001, dtype=torch.float64)
    alpha, sigma = alpha_sigma(schedule, t)
    assert torch.allclose(alpha.square() + sigma.square(), torch.ones_like(t), atol=1e-12)
    assert alpha[0] == 1 and sigma[0] == 0
    assert (alpha.diff() < 0).all() and (alpha > 0).all()


def test_flow_is_the_straight_line() -> None:
    t = torch.tensor([0.0, 0.25, 1.0])
    alpha, sigma = alpha_sigma("flow", t)
    assert alpha.tolist() == [1.0, 0.75, 0.0] and sigma.tolist() == t.tolist()
    assert snr("flow", torch.tensor(0.25)) == pytest.approx(9.0)


@pytest.mark.parametrize(("schedule", "tolerance"), [
    ("linear", 1e-3), ("scaled_linear", 5e-4), ("cosine", 1.5e-3),
])  # fmt: skip
def test_schedules_are_those_of_diffusers(schedule: str, tolerance: float) -> None:
    theirs = diffusers.DDPMScheduler(1000, **DIFFUSERS[schedule]).alphas_cumprod.double()
    t = torch.arange(1, 1001, dtype=torch.float64) / 1000  # step k is t = (k + 1) / 1000
    ours = alpha_sigma(schedule, t)[0].square()
    assert (ours - theirs).abs().max() < tolerance
    # Also where little signal is left: the log ratio, up to the last thousandths.
    inner = slice(20, 950)
    log_ours = (ours / (1 - ours)).log()[inner]
    log_theirs = (theirs / (1 - theirs)).log()[inner]
    assert (log_ours - log_theirs).abs().max() < 0.06
    # One step beside would be clearly further away, where the schedule is steepest.
    assert (ours[1:] - theirs[:-1]).abs().max() > (ours - theirs).abs().max()


@pytest.mark.parametrize(("schedule", "prediction"), ALLOWED)
def test_targets_and_inverses(schedule: str, prediction: str) -> None:
    objective = Objective(schedule, prediction)
    x_0, noise = drawn(len(LEVELS))
    alpha, sigma = (c.view(-1, 1, 1, 1) for c in alpha_sigma(schedule, LEVELS))
    x_t = objective.add_noise(x_0, noise, LEVELS)
    assert torch.allclose(x_t, alpha * x_0 + sigma * noise)
    target = objective.target(x_0, noise, LEVELS)
    forms = {"epsilon": noise, "v": alpha * noise - sigma * x_0, "flow": noise - x_0}
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


RATIOS = torch.logspace(-6, 6, 100, dtype=torch.float64)


def test_weights_against_their_papers() -> None:
    k, gamma = 2.0, 0.7
    # P2: 1 / (k + SNR)^gamma times the epsilon loss.
    p2 = x0_weight("p2", RATIOS, "v", k, gamma) / target_to_x0_weight("epsilon", RATIOS)
    assert torch.allclose(p2, (k + RATIOS) ** -gamma)
    # min-SNR-5: min(SNR, 5) on x_0; on epsilon min(1, 5 / SNR).
    minimum = x0_weight("min_snr", RATIOS, "epsilon", k, 5.0)
    assert torch.allclose(minimum, torch.minimum(RATIOS, torch.tensor(5.0).double()))
    assert torch.allclose(minimum / RATIOS, (5 / RATIOS).clamp_max(1))
    # Soft min-SNR: the harmonic form, below both and near the smaller.
    soft = x0_weight("soft_min_snr", RATIOS, "epsilon", k, 5.0)
    assert torch.allclose(1 / soft, 1 / RATIOS + 1 / 5)
    assert (soft < minimum).all() and (soft >= minimum / 2).all()


@pytest.mark.parametrize("k", [0.5, 1.0, 5.0])
def test_p2_with_gamma_1_is_soft_min_snr(k: float) -> None:
    p2 = x0_weight("p2", RATIOS, "epsilon", k, 1.0)
    soft = x0_weight("soft_min_snr", RATIOS, "epsilon", 1.0, k)
    assert torch.allclose(p2, soft / k)
    # Normalised, the two objectives are the same one, on epsilon and on any other target.
    for schedule, prediction in ALLOWED:
        first = Objective(schedule, prediction, "p2", k=k, gamma=1.0)
        second = Objective(schedule, prediction, "soft_min_snr", gamma=k)
        assert torch.allclose(first.weight(LEVELS), second.weight(LEVELS), rtol=1e-6)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_weight_means_the_same_on_every_target(weighting: str) -> None:
    """On one schedule, v and epsilon losses of the same x_0 error differ by a constant only."""
    if weighting == "uniform":
        return  # uniform on the target: differs by design
    x_0, noise = drawn(len(LEVELS))
    losses = {}
    for prediction in ("epsilon", "v"):
        objective = Objective("cosine", prediction, weighting, k=2.0, gamma=1.5)
        x_t = objective.add_noise(x_0, noise, LEVELS)
        alpha, sigma = (c.view(-1, 1, 1, 1) for c in alpha_sigma("cosine", LEVELS))
        wrong_x_0 = x_0 + 0.1
        wrong_noise = (x_t - alpha * wrong_x_0) / sigma
        predicted = objective.target(wrong_x_0, wrong_noise, LEVELS)
        error = (predicted - objective.target(x_0, noise, LEVELS)).square().mean((1, 2, 3))
        losses[prediction] = objective.weight(LEVELS) * error
    ratio = losses["epsilon"] / losses["v"]
    assert torch.allclose(ratio, ratio[0].expand_as(ratio), rtol=1e-4)


DENSITIES: list[dict[str, Any]] = [
    {"density": "uniform"},
    {"density": "logit_normal"},
    {"density": "logit_normal", "density_mean": 0.8, "density_std": 0.6},
]


@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize(("schedule", "prediction"), [ALLOWED[0], ALLOWED[3], ALLOWED[4]])
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


@pytest.mark.parametrize("schedule", SCHEDULES[1:])
def test_epsilon_on_flow_is_refused_and_targets_match_schedules(schedule: str) -> None:
    with pytest.raises(UserError, match="SNR 0 at t = 1"):
        Objective("flow", "epsilon")
    with pytest.raises(UserError, match="v prediction does not go with the flow schedule"):
        Objective("flow", "v")
    with pytest.raises(UserError, match=f"does not go with the {schedule} schedule"):
        Objective(schedule, "flow")


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


def test_timesteps_are_those_of_diffusers() -> None:
    assert Objective().timestep(torch.tensor([0.25, 1.0])).tolist() == [250.0, 1000.0]
    k = torch.tensor([0.0, 500.0, 999.0])
    for schedule, prediction in ALLOWED[1:]:
        told = Objective(schedule, prediction).timestep((k + 1) / 1000)
        assert told.tolist() == pytest.approx(k.tolist(), abs=1e-3)


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
