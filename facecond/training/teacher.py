"""The model that a run distills: found, and checked against the run before anything is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from facecond.config import RunConfig
from facecond.diffusion.shortcut import STEP_COUNTS, sigmas
from facecond.errors import UserError, nearest
from facecond.models.denoiser import Denoiser
from facecond.pipeline import FacePipeline, load_pipeline
from facecond.sampling.few_step import SAMPLER, check_scales, is_distilled, parts_read
from facecond.training.initialise import Source
from facecond.training.setup import first_stage_hash

PARTS = ("attributes", "mask")
"""What guidance may lead towards."""
STUDENTS_OWN = ("guidance_ranges", "time_cond_proj_dim")
"""Settings that only a distilled denoiser has."""
SAME_MAP = "use_linear_projection"
"""A setting that says how the same is computed."""


class Teacher:
    """A flow model to distill.

    Args:
        config: of the run, with `few_step.teacher`.

    Raises:
        UserError: no such model, one that cannot be distilled, or a run that cannot distill.
    """

    def __init__(self, config: RunConfig) -> None:
        self.where, self.scales = config.few_step.teacher, config.sampling.guidance
        self.source = Source.open(self.where)
        self.pipeline: FacePipeline = load_pipeline(self.source.path)
        told = {self.pipeline.config[name] for name in ("schedule", "prediction")}
        if told | {config.objective.schedule, config.objective.prediction} != {"flow"}:
            fix = "Distill a model with objective.schedule and objective.prediction 'flow'."
            raise UserError("only a flow model can be distilled", self.where, fix)
        if is_distilled(self.pipeline):
            raise UserError("it is a distilled model itself", self.where, "Name its teacher.")
        if self.pipeline.condition_encoder.references:
            fix = "Distill the model that it began from."
            raise UserError("it takes references, which cannot be distilled", self.where, fix)
        if not self.pipeline.unet.trained_routing.is_constant:
            what = "its routing depends on the noise level, and a step spans many"
            raise UserError(what, self.where, "Distill a model without windows in its routing.")

    @property
    def hash(self) -> str:
        """Hash of its weights."""
        return self.source.hash

    def beginning(
        self, init: str | Path | None, before: dict[str, Any] | None
    ) -> str | Path | None:
        """What the student begins with: what the user names, else the teacher. A run that goes on
        and began with something else keeps that.

        Args:
            init: model that the user names.
            before: what `run.json` says of a run that goes on; None for a new one.
        """
        if init or (before is not None and (before.get("init") or {}).get("hash") != self.hash):
            return init
        return self.source.path

    def check(self, student: Denoiser, stage_hash: str | None) -> None:
        """Raise `UserError` where the student is of another kind, or has other latents.

        Args:
            stage_hash: of the first stage that the run takes over; None: it makes its own.
        """
        encoders = self.pipeline.condition_encoder.config, student.condition_encoder.config
        for theirs, ours in (encoders, (self.pipeline.unet.config, student.unet.config)):
            for name in sorted({*theirs, *ours} - {*STUDENTS_OWN, SAME_MAP}):
                if name[0] != "_" and _plain(theirs.get(name)) != _plain(ours.get(name)):
                    what = f"its denoiser is another one ({name} differs)"
                    fix = "Begin from the config that the teacher was trained with."
                    raise UserError(what, self.where, fix)
        read = parts_read(student.unet, student.condition_encoder)
        ranges = student.unet.config.guidance_ranges
        check_scales(ranges, self.scales, "sampling.guidance", read)
        if stage_hash != first_stage_hash(self.source.first_stage):
            what = "its latents are those of another first stage"
            fix = "Set first_stage as the teacher's config does, and leave --init out."
            raise UserError(what, self.where, fix)

    def describe(self) -> str:
        """One line about it."""
        steps = ", ".join(map(str, STEP_COUNTS))
        return f"{self.source.path}, distilled for {steps} steps"


def check_few_step(config: RunConfig) -> None:
    """Raise `UserError` where a config asks for a distillation that cannot be."""
    knobs, where = config.few_step, "few_step.guidance"
    if not knobs.teacher:
        if knobs.guidance:
            fix = "Add --set few_step.teacher=MODEL."
            raise UserError("no model to distill is named", "few_step.teacher", fix)
        return
    for part, bounds in knobs.guidance.items():
        if part not in PARTS:
            raise UserError(f"unknown source '{part}'", where, nearest(part, PARTS))
        if len(bounds) != 2 or not 0 < bounds[0] <= 1 <= bounds[1] < float("inf"):
            what = f"{bounds} is no least and greatest scale of '{part}'"
            raise UserError(what, where, "Use two numbers around 1, such as [1, 3].")
    if config.perceptual.weight:
        what = "there is no perceptual loss in a distillation"
        raise UserError(what, "perceptual.weight", "Set it to 0.")
    if config.sampling.scheduler != SAMPLER:
        raise UserError("it takes whole steps", "sampling.scheduler", f"Use {SAMPLER}.")
    sigmas(config.sampling.steps)


def _plain(value: Any) -> Any:
    """Tuples as lists, as they are once saved."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value
