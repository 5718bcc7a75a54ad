"""diffusers' samplers by name, set up for the schedule and target a model was trained with."""

from __future__ import annotations

import inspect
from typing import Any

import diffusers
import torch
from torch import Tensor

from facecond.diffusion.objective import convert
from facecond.diffusion.paths import NUM_TRAIN_TIMESTEPS, alpha_sigma, t_of_timestep
from facecond.errors import UserError, nearest, reason

FLOW: dict[str, tuple[str, dict[str, Any]]] = {
    "euler": ("FlowMatchEulerDiscreteScheduler", {}),
    "heun": ("FlowMatchHeunDiscreteScheduler", {}),
    "unipc": ("UniPCMultistepScheduler", {"use_flow_sigmas": True}),
    "dpm++": ("DPMSolverMultistepScheduler", {"use_flow_sigmas": True}),
}
"""Short names on the flow schedule -> class and settings."""

VARIANCE_PRESERVING: dict[str, tuple[str, dict[str, Any]]] = {
    "ddpm": ("DDPMScheduler", {"clip_sample": False}),
    "ddim": ("DDIMScheduler", {"clip_sample": False, "set_alpha_to_one": False}),
    "euler": ("EulerDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "unipc": ("UniPCMultistepScheduler", {}),
    "dpm++": ("DPMSolverMultistepScheduler", {}),
}


def _betas(schedule: str) -> list[float]:
    """Discrete betas whose products are this schedule's alpha^2 at t = (k + 1) / 1000."""
    t = torch.arange(NUM_TRAIN_TIMESTEPS + 1, dtype=torch.float64) / NUM_TRAIN_TIMESTEPS
    alpha, _ = alpha_sigma(schedule, t)
    return (1 - (alpha[1:] / alpha[:-1]).square()).tolist()


BETAS: dict[str, dict[str, Any]] = {
    "linear": {"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02},
    "scaled_linear": {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
    # diffusers' own cosine ends at a signal 30 times weaker than ours (alpha 5e-5, not 1.5e-3): an
    # epsilon sampler that begins at the last step would make its first estimate 30 times too large.
    "cosine": {"beta_schedule": "squaredcos_cap_v2", "trained_betas": _betas("cosine")},
}
PREDICTION_TYPES = {"epsilon": "epsilon", "v": "v_prediction"}
"""Targets that diffusers samples on a variance-preserving path; on the flow's it is `flow`."""


def scheduler(name: str, schedule: str = "flow", prediction: str = "flow") -> Any:
    """A diffusers scheduler for a model's schedule and prediction target.

    Args:
        name: a short name (`FLOW`, `VARIANCE_PRESERVING`), or any scheduler class of diffusers.

    Raises:
        UserError: no such scheduler, or one that cannot sample this schedule.
    """
    fix = f"Choose from: {', '.join(FLOW if schedule == 'flow' else VARIANCE_PRESERVING)}."
    known = FLOW if schedule == "flow" else VARIANCE_PRESERVING
    of_class = {each[0]: each for each in known.values()}
    class_name, settings = known.get(name) or of_class.get(name, (name, {}))
    try:
        kind: Any = getattr(diffusers, class_name, None)
        accepted = set(kind._get_init_keys(kind)) if hasattr(kind, "set_timesteps") else None
    except Exception as error:  # a stand-in for a class whose package is missing
        raise _unusable(name, error, fix) from None
    if kind is None or accepted is None:
        raise UserError(f"unknown scheduler '{name}'", "scheduler", nearest(name, known))
    if "Inverse" in class_name:
        raise UserError(f"'{name}' goes from a picture to noise", "scheduler", fix)
    wanted: dict[str, Any] = {"num_train_timesteps": NUM_TRAIN_TIMESTEPS, **settings}
    if schedule != "flow":
        if not {"beta_schedule", "prediction_type"} <= accepted:
            raise UserError(f"'{name}' cannot sample a variance-preserving model", "scheduler", fix)
        sampled = PREDICTION_TYPES[_sampled_as(schedule, prediction)]
        wanted |= BETAS[schedule] | {"prediction_type": sampled}
    elif "use_flow_sigmas" in accepted:
        wanted |= {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}
    elif not class_name.startswith("FlowMatch"):
        raise UserError(f"'{name}' cannot sample a flow model", "scheduler", fix)
    settings = {key: value for key, value in wanted.items() if key in accepted}
    if class_name in of_class:
        return kind(**settings)
    try:
        made = kind(**settings)
        foreign = _has_noise_of_its_own(made)
    except Exception as error:  # settings that do not fit, steps of another kind
        raise _unusable(name, error, fix) from None
    if foreign:
        raise UserError(f"'{name}' adds noise that no seed decides", "scheduler", fix)
    return kind(**settings)


def takes_generator(sampler: Any) -> bool:
    """Whether a scheduler may add noise, and lets us draw it."""
    return "generator" in inspect.signature(sampler.step).parameters


def _unusable(name: str, error: Exception, fix: str) -> UserError:
    told = f"'{name}' cannot be used here ({type(error).__name__}: {reason(error)})"
    return UserError(told, "scheduler", fix)


def _has_noise_of_its_own(sampler: Any) -> bool:
    """Whether a scheduler adds noise that is not drawn from the generators it is given; raises
    whatever goes wrong in its steps."""
    drawn = []
    with torch.random.fork_rng(devices=[]):
        for _ in range(2):  # without noise of its own, both ways are the same
            generator = torch.Generator()  # of one fixed seed
            extra = {"generator": generator} if takes_generator(sampler) else {}
            sampler.set_timesteps(4)
            x = torch.ones(1, 1, 2, 2)
            for timestep in sampler.timesteps:
                x_t = x
                if hasattr(sampler, "scale_model_input"):
                    x_t = sampler.scale_model_input(x, timestep)
                x = sampler.step(x_t / 2, timestep, x, **extra).prev_sample
            drawn.append(x)
    first, second = map(torch.nan_to_num, drawn)
    return hasattr(sampler, "noise_sampler") or not torch.equal(first, second)


def _sampled_as(schedule: str, prediction: str) -> str:
    """Target that the scheduler reads. v stands in for what diffusers does not know: it can be told
    from every other target without a large factor at either end."""
    if schedule == "flow":
        return "flow"
    return prediction if prediction in PREDICTION_TYPES else "v"


def for_sampler(
    predicted: Tensor, x_t: Tensor, timestep: Tensor, schedule: str, prediction: str
) -> Tensor:
    """What the network predicted, as the scheduler that `scheduler` makes reads it.

    Args:
        predicted, x_t: the network's output and input [B, C, h, w].
        timestep: of the scheduler.
        schedule, prediction: what the network was trained with.
    """
    t = t_of_timestep(schedule, timestep.to(x_t.dtype))
    return convert(predicted, x_t, t, schedule, prediction, _sampled_as(schedule, prediction))
