"""Sampling a distilled model: equal steps of one pass, scales of guidance as inputs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from facecond.diffusion import shortcut
from facecond.diffusion.guidance import Scale, plan
from facecond.diffusion.paths import NUM_TRAIN_TIMESTEPS
from facecond.errors import UserError
from facecond.labels import ATTRIBUTES
from facecond.models.conditions import ConditionEncoder
from facecond.models.routing import Routing
from facecond.models.unet import FaceUNet
from facecond.sampling.passes import GUIDED, reached

SAMPLER = "euler"
"""Name of the only sampler that takes whole steps of average velocity."""
Ranges = Mapping[str, Sequence[float]]
"""Source -> least and greatest scale of guidance that a model was distilled for."""


def is_distilled(pipeline: Any) -> bool:
    """Whether a pipeline's denoiser was distilled."""
    return pipeline.unet.config.get("guidance_ranges") is not None


def check_scheduler(pipeline: Any, name: str) -> None:
    """Raise `UserError` where a distilled model is to be sampled with another sampler."""
    if is_distilled(pipeline) and name not in (SAMPLER, "FlowMatchEulerDiscreteScheduler"):
        what = f"this model was distilled for whole steps, which '{name}' does not take"
        raise UserError(what, "scheduler", f"Use {SAMPLER}.")


def check_routing(pipeline: Any, routing: Routing) -> None:
    """Raise `UserError` where conditions would come and go within a distilled model's steps."""
    if is_distilled(pipeline) and not routing.is_constant:
        what = "a distilled model takes whole steps, in which no condition can come or go"
        raise UserError(what, "routing", "Leave windows out, or sample its teacher.")


def check_plain(weaker: Any, interval: Any, rescale: float, reuse: int = 1) -> None:
    """Raise `UserError` for what needs the passes that a distilled model does without."""
    for name, given in (
        ("weaker", weaker is not None),
        ("guidance_interval", interval is not None),
        ("guidance_rescale", rescale != 0),
    ):
        if given:
            what = "a distilled model has its guidance built in"
            raise UserError(what, name, "Sample its teacher, or leave it out.")
    if reuse > 1:
        what = "steps of a distilled model are too long to share features"
        raise UserError(what, "feature_reuse", "Sample its teacher, or leave it out.")


def check_scales(
    ranges: Ranges,
    scales: Mapping[str, Scale],
    where: str = "guidance",
    read: Collection[str] = GUIDED,
) -> None:
    """Raise `UserError` for a scale that a model was not distilled for; 1 and 0 (hidden) always
    are.

    Args:
        scales: by part, a number or one per image.
        read: parts that the model reads; a scale of another does nothing.
    """
    for part, given in scales.items():
        low, high = ranges.get(part, (1.0, 1.0))
        values = torch.as_tensor(given, dtype=torch.float32).reshape(-1).tolist()
        wrong = [value for value in values if value and not low <= value <= high]
        if part not in read or not wrong:
            continue
        if part in ranges:
            what = f"{wrong[0]:g} is no scale of '{part}' that this model was distilled for"
            raise UserError(what, where, f"Use {low:g} to {high:g}, or 0 to hide it.")
        kind = f"emphasis on {part}" if part in ATTRIBUTES else f"scales of '{part}'"
        what = f"this model was distilled without {kind}"
        raise UserError(what, where, "Sample its teacher, or leave it out.")


def parts_read(unet: FaceUNet, encoder: ConditionEncoder) -> list[str]:
    """Parts of the conditions that reach a denoiser: what scales may matter for."""
    sources = {*unet.routed, *(["mask"] if encoder.config.plane_size else [])}
    return [part for part in GUIDED if reached(part, sources, encoder.rows)]


def steps_of(
    pipeline: Any, scales: Mapping[str, Scale], steps: int, batch: int
) -> tuple[dict[str, Scale], Tensor]:
    """What a distilled model is told of its steps.

    Args:
        scales: by part, a number or one per image.
        steps: of the sampler.

    Returns:
        The scales that still matter for its one pass (0 hides a part), and the inputs of the
        denoiser, step length and scale per source, float [B, 1 + S].

    Raises:
        UserError: an unknown part, a number of steps or a scale that it was not distilled for.
    """
    plan(scales, GUIDED, batch)  # checks every name and number
    shortcut.sigmas(steps)
    ranges = pipeline.unet.config["guidance_ranges"]
    read = parts_read(pipeline.unet, pipeline.condition_encoder)
    check_scales(ranges, scales, read=read)
    given = {part: torch.as_tensor(w, dtype=torch.float32).cpu() for part, w in scales.items()}
    told = [torch.full((batch,), 1 / steps)]
    for part in ranges:
        scale = given.get(part, torch.ones(())).expand(batch)
        told.append(torch.where(scale == 0, 1.0, scale))  # a hidden part leads nowhere
    hiding: dict[str, Scale] = {part: (scale != 0).float() for part, scale in given.items()}
    return hiding, torch.stack(told, 1)  # [B, 1 + S]


def set_timesteps(pipeline: Any, steps: int, device: torch.device) -> None:
    """Give a pipeline's sampler its moments.

    Raises:
        UserError: a distilled model with a sampler that does not take its steps.
    """
    sampler = pipeline.scheduler
    if not is_distilled(pipeline):
        sampler.set_timesteps(steps, device=device)
        return
    check_scheduler(pipeline, type(sampler).__name__)
    sigmas = torch.tensor(shortcut.sigmas(steps))
    sampler.set_timesteps(sigmas=sigmas.tolist(), device=device)
    if not torch.allclose(sampler.timesteps.cpu().float(), NUM_TRAIN_TIMESTEPS * sigmas):
        what = "its settings lead to other moments than this model was distilled for"
        raise UserError(what, "scheduler", f"Call use_scheduler('{SAMPLER}').")
