"""Every sampler, driven by the exact denoiser of a known Gaussian, must draw that Gaussian.

This ties together our schedules, targets and timesteps with diffusers' own: a mistake in any of
them would shift the mean or the spread.
"""

from __future__ import annotations

import importlib.util
import inspect
from typing import Any

import diffusers
import pytest
import torch
from torch import Tensor

from facecond.diffusion.objective import PREDICTIONS, Objective
from facecond.diffusion.paths import alpha_sigma, t_of_timestep
from facecond.diffusion.schedulers import FLOW, VARIANCE_PRESERVING, for_sampler, scheduler
from facecond.errors import UserError

MEAN = torch.tensor([-0.6, 0.0, 0.9]).view(1, 3, 1, 1).double()
STD = torch.tensor([0.25, 0.6, 1.2]).view(1, 3, 1, 1).double()
COUNT = 4000
STEPS = {"ddpm": 1000, "heun": 100}
"""Ancestral sampling is exact at all steps; Heun takes two evaluations a step. Others: 400."""


def noise_level(objective: Objective, timestep: Tensor) -> Tensor:
    """t of a timestep; checked against `Objective.timestep`."""
    t = t_of_timestep(objective.schedule, timestep.double())
    assert float(objective.timestep(t)) == pytest.approx(float(timestep), abs=1e-6)
    return t


def exact_prediction(objective: Objective, x_t: Tensor, timestep: Tensor) -> Tensor:
    """What a perfect network says: the target at E[x_0 | x_t] for x_0 ~ N(MEAN, STD^2)."""
    t = noise_level(objective, timestep)
    alpha, sigma = alpha_sigma(objective.schedule, t)
    gain = alpha * STD**2 / (alpha**2 * STD**2 + sigma**2)
    x_0 = MEAN + gain * (x_t - alpha * MEAN)
    noise = (x_t - alpha * x_0) / sigma
    return objective.target(x_0, noise, t)


def sample(name: str, schedule: str, prediction: str) -> Tensor:
    """The loop of `FacePipeline` with the exact denoiser, begun at the first step's marginal.

    (A pipeline begins at pure noise; where a schedule ends with some signal left, that is a known
    bias of the mean, and not a matter of the sampler.)
    """
    objective = Objective(schedule, prediction)
    sampler = scheduler(name, schedule, prediction)
    generator = torch.Generator().manual_seed(0)
    sampler.set_timesteps(STEPS.get(name, 400))
    # Antithetic noise with exact moments: deterministic samplers then have no sampling error.
    half = torch.randn(COUNT // 2, 3, 1, 1, generator=generator, dtype=torch.float64)
    x = torch.cat([half, -half])
    x = x / x.square().mean(0, keepdim=True).sqrt()
    alpha, sigma = alpha_sigma(schedule, noise_level(objective, sampler.timesteps[0]))
    x = alpha * MEAN + (alpha**2 * STD**2 + sigma**2).sqrt() * x
    x = x * float(getattr(sampler, "init_noise_sigma", 1.0))
    extra = {}
    if "generator" in inspect.signature(sampler.step).parameters:
        extra["generator"] = generator
    for timestep in sampler.timesteps:
        x_t = x
        if hasattr(sampler, "scale_model_input"):
            x_t = sampler.scale_model_input(x, timestep)
        predicted = exact_prediction(objective, x_t.double(), timestep)
        predicted = for_sampler(predicted, x_t, timestep, schedule, prediction)
        x = sampler.step(predicted, timestep, x, **extra).prev_sample
    return x


def errors(x: Tensor) -> tuple[float, float]:
    """Largest error of the mean (in standard deviations) and of the spread (relative)."""
    mean, std = x.mean((0, 2, 3)).double(), x.std((0, 2, 3)).double()
    shift = (mean - MEAN.flatten()) / STD.flatten()
    return float(shift.abs().max()), float((std / STD.flatten() - 1).abs().max())


@pytest.mark.parametrize("name", FLOW)
def test_flow_samplers(name: str) -> None:
    drawn = [sample(name, "flow", prediction) for prediction in ("flow", "v")]
    shift, spread = errors(drawn[0])
    assert shift < 0.01 and spread < 0.01
    assert distance(*drawn) < 1e-4


@pytest.mark.parametrize("name", VARIANCE_PRESERVING)
@pytest.mark.parametrize("schedule", ["linear", "scaled_linear", "cosine"])
def test_variance_preserving_samplers(name: str, schedule: str) -> None:
    drawn = {prediction: sample(name, schedule, prediction) for prediction in PREDICTIONS}
    for x in drawn.values():
        shift, spread = errors(x)
        # Ancestral noise leaves a standard error of 1 / sqrt(COUNT) in the mean.
        assert shift < (4 * COUNT**-0.5 if name == "ddpm" else 0.01) and spread < 0.04
    # What the network predicts makes no difference to what is drawn.
    assert distance(drawn["flow"], drawn["v"]) < 1e-4
    # Of DDPM's and Stable Diffusion's betas, the network's continuous form is a little beside.
    beside = 1e-3 if schedule == "cosine" else 0.01
    assert distance(drawn["epsilon"], drawn["v"]) < beside


def distance(first: Tensor, second: Tensor) -> float:
    """Largest difference of two draws, in standard deviations of the data."""
    return float(((first - second) / STD).abs().max())


def test_other_classes_of_diffusers_by_name() -> None:
    assert type(scheduler("DEISMultistepScheduler")).__name__ == "DEISMultistepScheduler"
    assert scheduler("DEISMultistepScheduler").config.use_flow_sigmas
    made = scheduler("PNDMScheduler", "linear", "v")
    assert made.config.prediction_type == "v_prediction" and made.config.beta_end == 0.02


@pytest.mark.parametrize("schedule", ["linear", "scaled_linear", "cosine"])
def test_discrete_schedule_is_ours(schedule: str) -> None:
    discrete = scheduler("ddpm", schedule, "v").alphas_cumprod.double()
    t = torch.arange(1, 1001, dtype=torch.float64) / 1000
    alpha, sigma = alpha_sigma(schedule, t)
    ours = 2 * (alpha.log() - sigma.log())
    theirs = (discrete / (1 - discrete)).log()
    assert (ours - theirs)[10:].abs().max() < 0.1  # log SNR, to the last step


@pytest.mark.parametrize("schedule", ["flow", "linear"])
def test_unknown_names_are_refused(schedule: str) -> None:
    prediction = "flow" if schedule == "flow" else "v"
    with pytest.raises(UserError, match=r"unknown scheduler 'eulr'.*Did you mean 'euler'"):
        scheduler("eulr", schedule, prediction)
    for name in ("AutoencoderKL", "FaceScheduler", ""):  # there, but no sampler; not there
        with pytest.raises(UserError, match="unknown scheduler"):
            scheduler(name, schedule, prediction)


def test_samplers_of_the_other_kind_are_refused() -> None:
    with pytest.raises(UserError, match=r"unknown scheduler 'ddim'.*Choose from: euler, heun"):
        scheduler("ddim")
    with pytest.raises(UserError, match="cannot sample a flow model"):
        scheduler("DDIMScheduler")
    for name in ("FlowMatchEulerDiscreteScheduler", "EDMEulerScheduler"):
        with pytest.raises(UserError, match="cannot sample a variance-preserving model"):
            scheduler(name, "linear", "epsilon")


OTHERS = {
    "flow": ("DEISMultistepScheduler", "SASolverScheduler", "FlowMatchEulerDiscreteScheduler",
             "DPMSolverSinglestepScheduler"),
    "scaled_linear": ("DEISMultistepScheduler", "PNDMScheduler", "LMSDiscreteScheduler",
                      "KDPM2DiscreteScheduler", "EulerAncestralDiscreteScheduler",
                      "DPMSolverSinglestepScheduler", "DDIMScheduler", "SASolverScheduler"),
}  # fmt: skip
ROUGH = {"EulerAncestralDiscreteScheduler", "SASolverScheduler"}


@pytest.mark.parametrize(
    ("schedule", "name"), [(schedule, name) for schedule, names in OTHERS.items() for name in names]
)
def test_other_classes_draw_the_gaussian_too(schedule: str, name: str) -> None:
    shift, spread = errors(sample(name, schedule, "flow" if schedule == "flow" else "v"))
    # Those that add noise have a sampling error as large as 1 / sqrt(COUNT).
    assert shift < (4 * COUNT**-0.5 if name in ROUGH else 0.02) and spread < 0.06


def test_a_class_that_has_a_short_name_has_its_settings_too() -> None:
    short, long = (scheduler(name, "linear", "v") for name in ("ddim", "DDIMScheduler"))
    assert short.config == long.config and not long.config.clip_sample


@pytest.mark.parametrize("name", ["DPMSolverMultistepInverseScheduler", "DDIMInverseScheduler"])
def test_samplers_towards_noise_are_refused(name: str) -> None:
    with pytest.raises(UserError, match=r"goes from a picture to noise\. Choose from: "):
        scheduler(name)


UNFIT = ["HeliosScheduler", "KarrasVeScheduler"]
if importlib.util.find_spec("torchsde") is None:
    UNFIT += ["CosineDPMSolverMultistepScheduler", "DPMSolverSDEScheduler"]


@pytest.mark.parametrize("name", UNFIT)
def test_samplers_that_fail_are_one_clear_error(name: str) -> None:
    if not hasattr(diffusers, "FlowMatchEulerDiscreteScheduler") or name not in dir(diffusers):
        pytest.skip("this diffusers does not have it")
    with pytest.raises(UserError, match=f"'{name}' cannot .*Choose from: euler, heun"):
        scheduler(name)


class Restless(diffusers.DEISMultistepScheduler):
    """Adds noise of its own: torch's, whatever the seeds of the faces are."""

    def step(self, predicted: Tensor, timestep: Any, sample: Tensor) -> Any:
        moved = super().step(predicted, timestep, sample)
        moved.prev_sample += torch.randn(sample.shape)
        return moved


class Broken(diffusers.DEISMultistepScheduler):
    """Fails in its steps."""

    def step(self, predicted: Tensor, timestep: Any, sample: Tensor) -> Any:
        raise KeyError(None)


def test_noise_that_no_seed_decides_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diffusers, "Restless", Restless, raising=False)
    monkeypatch.setattr(diffusers, "Broken", Broken, raising=False)
    state = torch.get_rng_state()
    with pytest.raises(UserError, match="'Restless' adds noise that no seed decides"):
        scheduler("Restless")
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(UserError, match=r"'Broken' cannot be used here \(KeyError"):
        scheduler("Broken")
