"""Guided predictions: passes of the model and of a weaker one, in an interval, rescaled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from facecond.diffusion.guidance import Scale, guide, plan, rescale
from facecond.diffusion.paths import log_snr_of
from facecond.errors import UserError
from facecond.models.deep_features import check_every
from facecond.models.routing import Window
from facecond.models.weights_hash import weights_hash
from facecond.sampling import few_step
from facecond.sampling.conditions import reader_of
from facecond.sampling.passes import Autocast, Given, Passes, guidance_plan

WEAKER = "weaker"
"""Name of the scale of autoguidance."""
Interval = Sequence[float] | Window
"""(lo, hi) in tau of the model's noise schedule, half-open, closed at 1; or a window in logSNR."""


@dataclass
class Guided:
    """One guided prediction per step.

    Attributes:
        passes: of the model.
        weaker: the full pass of a weaker model, or None.
        away: scale of the lead away from it, [B].
        interval: noise levels at which scales other than 0 hold; None = all.
        rescale: share by which the spread is brought back (`guidance.rescale`).
    """

    passes: Passes
    weaker: Passes | None = None
    away: Tensor | None = None
    interval: Window | None = None
    rescale: float = 0.0

    def __call__(self, x_t: Tensor, timestep: Tensor, log_snr: Tensor) -> Tensor:
        """x_t [B, C, h, w], timestep [], its logSNR [1] -> prediction [B, C, h, w]."""
        inside = self.interval is None or bool(self.interval.at(log_snr.numpy())[0])
        full, without, scales = self.passes(x_t, timestep, log_snr, inside)
        if self.weaker is not None and self.away is not None and inside:
            without = without | {WEAKER: self.weaker(x_t, timestep, log_snr, False)[0]}
            scales = {**scales, WEAKER: self.away}
        guided = guide(full, without, scales)
        return rescale(guided, full, self.rescale) if self.rescale and without else guided


def make_guided(
    pipeline: Any,
    weaker: Any | None,
    given: Given,
    scales: Mapping[str, Scale],
    interval: Interval | None,
    share: float,
    autocast: Autocast | None = None,
    steps: int | None = None,
    reuse: int = 1,
) -> Guided:
    """Read the conditions of a batch for all passes.

    Args:
        pipeline: a `FacePipeline`.
        weaker: another one of the same latents and objective, or None.
        scales: by part, and `weaker`.
        interval, share: see `Guided`.
        autocast: number format of the denoiser; None = the pipeline's.
        steps: of the sampler; None where velocities of single moments are asked for.
        reuse: number of steps that deep features are used for.

    Raises:
        UserError: an unknown part, a scale or interval out of range, a weaker model that does not
            fit, something that a distilled model cannot do.
    """
    if not 0 <= share <= 1:
        raise UserError(f"{share} is no share", "guidance_rescale", "Use 0 to 1.")
    check_every(reuse)
    scales = dict(scales)
    if few_step.is_distilled(pipeline):
        if steps is None:
            what = "a distilled model knows whole steps alone"
            raise UserError(what, "model", "Use its teacher.")
        few_step.check_plain(weaker, interval, share, reuse)
        hiding, told = few_step.steps_of(pipeline, scales, steps, len(given.values))
        passes = _passes(pipeline, given, hiding, autocast)
        passes.conditions.step = told.to(pipeline.unet.device)
        return Guided(passes)
    if (weaker is None) == (WEAKER in scales):
        what = "a weaker model and its scale go together"
        raise UserError(what, "guidance", f"Give both weaker=MODEL and {{'{WEAKER}': 1.5}}.")
    away = plan({WEAKER: scales.pop(WEAKER, 1.0)}, [WEAKER], len(given.values)).scales.get(WEAKER)
    passes = _passes(pipeline, given, scales, autocast, reuse)
    window = interval_window(interval, pipeline.config["schedule"])
    if weaker is None or away is None:
        return Guided(passes, interval=window, rescale=share)
    _check_weaker(pipeline, weaker)
    hidden = {part: w for part, w in scales.items() if bool((torch.as_tensor(w) == 0).any())}
    theirs = _read_again(weaker, given)
    return Guided(passes, _passes(weaker, theirs, hidden, autocast, reuse), away, window, share)


def _read_again(weaker: Any, given: Given) -> Given:
    """The conditions with what the weaker model itself takes of the references: tokens of another
    Q-Former mean nothing to it. It is without those that it does not know."""
    reader = reader_of(weaker)
    known = [reference for reference in given.references if reader.takes(reference.take)]
    return replace(given, taken=reader(known, len(given.values)))


def _passes(
    pipeline: Any,
    given: Given,
    scales: Mapping[str, Scale],
    autocast: Autocast | None,
    reuse: int = 1,
) -> Passes:
    unet, encoder = pipeline.unet, pipeline.condition_encoder
    rows = guidance_plan(scales, given, encoder, sorted(unet.routed))
    return Passes(unet, encoder, rows, given, autocast or pipeline._autocast, reuse)


def interval_window(interval: Interval | None, schedule: str) -> Window | None:
    """An interval as noise levels; None stays None.

    Raises:
        UserError: no interval of tau.
    """
    if interval is None or isinstance(interval, Window):
        return interval
    lo, hi = (float(bound) for bound in interval)
    if not 0 <= lo < hi <= 1:
        fix = "Use 0 <= lo < hi <= 1 (1 = noise)."
        raise UserError(f"{lo:g}:{hi:g} is no interval of tau", "guidance_interval", fix)
    return Window.of_tau((lo, hi), lambda tau: log_snr_of(schedule, tau))


def _check_weaker(pipeline: Any, weaker: Any) -> None:
    """A difference of predictions has a meaning only where both speak of the same latents."""
    if few_step.is_distilled(weaker):
        raise UserError("a distilled model knows whole steps alone", WEAKER, "Take another one.")
    for what in ("schedule", "prediction"):
        if weaker.config[what] != pipeline.config[what]:
            told = f"its {what} is {weaker.config[what]}, the model's {pipeline.config[what]}"
            raise UserError(told, WEAKER, "Take a model that was trained alike.")
    stages = pipeline.first_stage, weaker.first_stage
    if stages[0] is not stages[1] and (
        weights_hash(stages[0]) != weights_hash(stages[1])
        or _settings(stages[0]) != _settings(stages[1])
    ):
        fix = "Take one that was trained on the same first stage, or an earlier state of this one."
        raise UserError("it was trained on another first stage", WEAKER, fix)


def _settings(part: Any) -> dict[str, Any]:
    """Config of a part, without the folder it was loaded from and the like."""
    return {name: value for name, value in part.config.items() if not name.startswith("_")}
