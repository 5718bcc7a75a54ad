"""FacePipeline: conditions, references and seeds -> faces. The sampling tool as a library.

The module paths of the pipeline and its components are written into saved models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from diffusers import DiffusionPipeline
from diffusers.utils import BaseOutput
from torch import Tensor

from facecond.devices import has_fast_bf16
from facecond.diffusion.guidance import GuidancePlan, guide, plan
from facecond.diffusion.paths import log_snr, log_snr_of, t_of_timestep
from facecond.diffusion.schedulers import for_sampler
from facecond.diffusion.schedulers import scheduler as make_scheduler
from facecond.errors import UserError, nearest, reason
from facecond.labels import ABSENT, ANYTHING, ATTRIBUTES, MASK_CLASSES, PRESENT, UNSPECIFIED
from facecond.models.attention import Conditions
from facecond.models.conditions import ConditionEncoder
from facecond.models.evidence import EvidenceEncoder
from facecond.models.first_stage import FirstStage
from facecond.models.reference import Reference, ReferenceTokens, reference_tokens
from facecond.models.routing import PRESETS, SOURCES, Routing, load_routing, preset
from facecond.models.unet import FaceUNet
from facecond.seeding import torch_generator

GUIDED = (*SOURCES, "reference")
"""What a scale of guidance may be given for."""


@dataclass
class FacePipelineOutput(BaseOutput):
    """Sampled faces: `images` uint8 [B, H, W, 3].

    `strange` numbers the references that are unlike any face that the model was trained on.
    """

    images: np.ndarray
    strange: tuple[int, ...] = ()


class FacePipeline(DiffusionPipeline):
    """Samples faces from attributes and masks, and from what it takes of reference faces.

    Float32 weights are multiplied in bfloat16 where the device does it fast (see `precision`).

    Args:
        unet, condition_encoder, first_stage: the trained parts.
        scheduler: a diffusers scheduler made for the model's schedule and target.
        schedule, prediction: what the model was trained with (see `Objective`).
        steps: default number of sampling steps.
        guidance: default scale per source; a source that is not named has 1.
        evidence_encoder: what references are read with; a model without references has none.
    """

    _optional_components: ClassVar[list[str]] = ["evidence_encoder"]

    def __init__(
        self,
        unet: FaceUNet,
        condition_encoder: ConditionEncoder,
        first_stage: FirstStage,
        scheduler: Any,
        schedule: str = "flow",
        prediction: str = "flow",
        steps: int = 12,
        guidance: dict[str, float] | None = None,
        evidence_encoder: EvidenceEncoder | None = None,
    ) -> None:
        super().__init__()
        self.register_modules(
            unet=unet,
            condition_encoder=condition_encoder,
            first_stage=first_stage,
            scheduler=scheduler,
            evidence_encoder=evidence_encoder,
        )
        self.register_to_config(
            schedule=schedule, prediction=prediction, steps=steps, guidance=dict(guidance or {})
        )

    @property
    def image_size(self) -> int:
        """Side of the pictures and masks in pixels."""
        return int(self.condition_encoder.config.image_size)

    @property
    def precision(self) -> str:
        """Number format that the denoiser multiplies in: `bfloat16`, `float32`, ..."""
        dtype = self.unet.dtype
        in_bf16 = dtype == torch.float32 and has_fast_bf16(self.unet.device.type)
        return "bfloat16" if in_bf16 else str(dtype).removeprefix("torch.")

    def use_scheduler(self, name: str) -> None:
        """Sample with another scheduler from now on (`diffusion/schedulers.py`)."""
        self.scheduler = make_scheduler(name, self.config.schedule, self.config.prediction)

    def use_routing(self, routing: Routing | str | Path) -> None:
        """Route by another table, a routing file or a preset; only what was trained may be on.

        Raises:
            UserError: an unknown name, a file that does not fit, a cell that was not trained.
        """
        trained, of_tau = self.unet.trained_routing, partial(log_snr_of, self.config.schedule)
        if isinstance(routing, str) and routing in PRESETS:
            routing = preset(routing, trained.layers, None, trained.combine, of_tau)
        elif not isinstance(routing, Routing):
            if not Path(routing).is_file():
                fix = nearest(str(routing), PRESETS)
                raise UserError("no routing file or preset of this name", routing, fix)
            routing = load_routing(routing, trained.layers, of_tau, trained.combine)
        self.unet.use_routing(routing)

    @torch.no_grad()
    def __call__(
        self,
        attributes: Tensor | np.ndarray | None = None,
        mask: Tensor | np.ndarray | None = None,
        seeds: Sequence[int] = (0,),
        guidance: Mapping[str, float] | None = None,
        num_inference_steps: int | None = None,
        progress: bool = False,
        reference: Reference | Sequence[Reference] = (),
        callback_on_step_end: Callable[[FacePipeline, int, Tensor, dict[str, Tensor]], dict]
        | None = None,
    ) -> FacePipelineOutput:
        """Sample one face per seed.

        Args:
            attributes: int8 [B, 40] or [40] (1, 0, -1 = unspecified); None leaves all open.
            mask: uint8 [B, H, W] or [H, W] (0..18, 255 = anything); None leaves it open.
            seeds: one per face; noise depends on the seed alone, not on the batch. Pixels are equal
                bit for bit at the same batch, within one grey level at another.
            guidance: scale per source in place of the model's own; one not named has 1.
            num_inference_steps: the default is the model's own.
            progress: show a bar over the steps.
            reference: faces to take something from; their guidance scale is that of `reference`.
            callback_on_step_end: called as `callback(pipeline, step, timestep, {"latents": ...})`
                after each step; the `latents` [B, C, h, w] that it returns replace them. What it
                raises ends the sampling.

        Raises:
            UserError: a wrong shape or value, an unknown source, NaN in the weights.
        """
        batch = len(seeds)
        values = self._attributes(attributes, batch)
        labels = self._mask(mask, batch)
        scales = self.config.guidance if guidance is None else guidance
        faces = [reference] if isinstance(reference, Reference) else list(reference)
        taken = reference_tokens(
            faces, batch, self.condition_encoder, self.evidence_encoder, self.first_stage
        )
        passes = self._passes(scales, bool(taken.tokens))
        weights = self._weights(taken, passes, batch)  # [P B, 1, S] or None
        conditions = self._conditions(values, labels, taken, passes)
        if weights is not None:
            conditions.gates = conditions.gates * weights  # [P B, L, S]
        latents = self._noise(seeds)  # [B, C, h, w]
        self.scheduler.set_timesteps(
            num_inference_steps or self.config.steps, device=self.unet.device
        )
        latents = latents * getattr(self.scheduler, "init_noise_sigma", 1.0)
        generators = [torch_generator(seed, "sampler") for seed in seeds]
        extra = {"generator": generators} if self._is_stochastic() else {}
        self.set_progress_bar_config(disable=not progress, leave=False)
        for step, timestep in enumerate(self.progress_bar(self.scheduler.timesteps)):
            x_t = latents
            if hasattr(self.scheduler, "scale_model_input"):
                x_t = self.scheduler.scale_model_input(latents, timestep)
            if not self.unet.routing.is_constant:
                gates = self.unet.gates(self._log_snr(timestep))[0]  # [L, S]
                conditions.gates = gates if weights is None else gates * weights
            prediction = self._predict(x_t, timestep, conditions, passes)
            trained = self.config.schedule, self.config.prediction
            prediction = for_sampler(prediction, x_t, timestep, *trained)
            latents = self.scheduler.step(prediction, timestep, latents, **extra).prev_sample
            if callback_on_step_end is not None:
                returned = callback_on_step_end(self, step, timestep, {"latents": latents})
                latents = returned.get("latents", latents)
        decoded = self.first_stage.decode(latents)  # [B, 3, H, W]
        if not (torch.isfinite(latents).all() and torch.isfinite(decoded).all()):
            raise UserError(
                "sampling gave values that are not finite",
                "model",
                "Its weights may hold NaN: take an earlier checkpoint.",
            )
        return FacePipelineOutput(images=to_uint8(decoded), strange=taken.strange)

    def _passes(self, scales: Mapping[str, float], with_reference: bool) -> GuidancePlan:
        """Passes for these scales; a condition that the model does not read needs none."""
        plan(scales, GUIDED)
        reads = [*self.condition_encoder.reads, *(["reference"] if with_reference else [])]
        return plan({source: w for source, w in scales.items() if source in reads}, reads)

    def _weights(self, taken: ReferenceTokens, passes: GuidancePlan, batch: int) -> Tensor | None:
        """Factor on the gates of each pass, sample and source, [P B, 1, S]; 0 hides a reference.
        None where all are 1."""
        if not taken.tokens:
            return None
        rows = [
            [
                0.0 if "reference" in hidden and s in taken.tokens else taken.weights.get(s, 1.0)
                for s in self.unet.routing.sources
            ]
            for hidden in passes.passes
        ]
        if all(weight == 1 for row in rows for weight in row):
            return None
        weights = torch.tensor(rows, device=self.unet.device)  # [P, S]
        return weights.repeat_interleave(batch, 0)[:, None]

    def _log_snr(self, timestep: Tensor) -> Tensor:
        """logSNR [1] at a timestep of the scheduler (the inverse of `Objective.timestep`)."""
        t = t_of_timestep(self.config.schedule, timestep.double().cpu().reshape(1))
        return log_snr(self.config.schedule, t.clamp(0, 1))

    def _predict(
        self, x_t: Tensor, timestep: Tensor, conditions: Conditions, passes: GuidancePlan
    ) -> Tensor:
        """One guided prediction; all passes go through the network as one batch."""
        count = len(passes.passes)
        stacked = torch.cat([x_t] * count).to(self.unet.dtype)  # [P B, C, h, w]
        with self._autocast():
            out = self.unet(stacked, timestep, conditions).sample.float()  # [P B, C, h, w]
        full, *without = out.chunk(count)  # [B, C, h, w] each
        return guide(full, dict(zip(passes.scales, without, strict=True)), passes.scales)

    def _conditions(
        self, values: Tensor, labels: Tensor, taken: ReferenceTokens, passes: GuidancePlan
    ) -> Conditions:
        """Keys and values of every pass, computed once for all steps."""
        null = {
            "attributes": torch.full_like(values, UNSPECIFIED),
            "mask": torch.full_like(labels, ANYTHING),
        }
        given = {"attributes": values, "mask": labels}
        stacked = {
            source: torch.cat([null[source] if source in hidden else given[source]
                               for hidden in passes.passes])
            for source in given
        }  # fmt: skip
        with self._autocast():
            planes = self.condition_encoder.planes(stacked["mask"])
            tokens = self.condition_encoder(**stacked)
            for source, read in taken.tokens.items():
                tokens[source] = torch.cat([read] * len(passes.passes))  # [P B, Q, D]
            return self.unet.project_conditions(tokens, planes)

    def _autocast(self) -> torch.autocast:
        wanted = self.unet.dtype == torch.float32 and self.precision == "bfloat16"
        return torch.autocast(self.unet.device.type, torch.bfloat16, enabled=wanted)

    def _noise(self, seeds: Sequence[int]) -> Tensor:
        config = self.unet.config
        shape = (config.out_channels, config.sample_size, config.sample_size)
        noise = [torch.randn(shape, generator=torch_generator(seed, "latents")) for seed in seeds]
        return torch.stack(noise).to(self.unet.device)  # float32 whatever the weights are

    def _is_stochastic(self) -> bool:
        import inspect

        return "generator" in inspect.signature(self.scheduler.step).parameters

    def _attributes(self, attributes: Tensor | np.ndarray | None, batch: int) -> Tensor:
        if attributes is None:
            attributes = np.full(len(ATTRIBUTES), UNSPECIFIED, np.int8)
        values = torch.as_tensor(attributes)
        values = values.expand(batch, -1) if values.ndim == 1 else values
        known = {PRESENT, ABSENT, UNSPECIFIED}
        if values.shape != (batch, len(ATTRIBUTES)) or not set(values.unique().tolist()) <= known:
            raise UserError(
                f"expected values -1, 0, 1 of shape {(batch, len(ATTRIBUTES))}, "
                f"got shape {tuple(values.shape)}",
                "attributes",
                "Give 40 values per seed.",
            )
        return values.to(self.unet.device, torch.int8)

    def _mask(self, mask: Tensor | np.ndarray | None, batch: int) -> Tensor:
        size = self.image_size
        if mask is None:
            mask = np.full((size, size), ANYTHING, np.uint8)
        labels = torch.as_tensor(mask)
        labels = labels.expand(batch, -1, -1) if labels.ndim == 2 else labels
        if labels.shape != (batch, size, size):
            raise UserError(
                f"expected shape {(batch, size, size)}, got {tuple(labels.shape)}",
                "mask",
                f"Resize it to {size} x {size} by nearest neighbour.",
            )
        if bad := sorted(
            set(labels.unique().tolist()) - set(range(len(MASK_CLASSES))) - {ANYTHING}
        ):
            raise UserError(f"unknown classes {bad}", "mask", "Use 0..18, and 255 for anything.")
        return labels.to(self.unet.device, torch.uint8)


def to_uint8(images: Tensor) -> np.ndarray:
    """Images float [B, 3, H, W] in [-1, 1] -> uint8 [B, H, W, 3], rounded."""
    scaled = ((images.float() + 1) * 127.5).round().clamp(0, 255)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


def load_pipeline(path: str | Path) -> FacePipeline:
    """A saved model folder -> pipeline.

    Raises:
        UserError: not a model folder, a missing or damaged file, another architecture, NaN weights.
    """
    path = Path(path)
    if not (path / "model_index.json").is_file():
        raise UserError(
            "not a model folder (no model_index.json)", path, "Name what `facecond train` wrote."
        )
    try:
        pipeline = FacePipeline.from_pretrained(str(path), local_files_only=True)
    except UserError:
        raise
    except Exception as error:  # diffusers, safetensors and json raise many kinds
        raise UserError(
            f"the model cannot be loaded ({reason(error)})",
            path,
            "Its files are damaged or of another version: train or copy it anew.",
        ) from None
    for name in ("unet", "condition_encoder", "first_stage"):
        module = getattr(pipeline, name)
        module.eval().requires_grad_(False)
        for key, value in module.state_dict().items():
            if not torch.isfinite(value).all():
                raise UserError(f"{key} holds NaN or infinity", path / name, "Train it anew.")
    return pipeline
