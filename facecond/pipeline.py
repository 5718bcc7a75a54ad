"""FacePipeline: conditions, references and seeds -> faces. The sampling tool as a library.

The module paths of the pipeline and its components are written into saved models.
"""

from __future__ import annotations

import os
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
from facecond.diffusion.guidance import Scale
from facecond.diffusion.paths import log_snr, log_snr_of, t_of_timestep
from facecond.diffusion.schedulers import for_sampler, takes_generator
from facecond.diffusion.schedulers import scheduler as make_scheduler
from facecond.errors import UserError
from facecond.models.conditions import ConditionEncoder
from facecond.models.evidence import EvidenceEncoder
from facecond.models.first_stage import FirstStage
from facecond.models.routing import Routing, named_routing, narrowed
from facecond.models.unet import FaceUNet
from facecond.sampling import few_step
from facecond.sampling.checksums import check_weights, write_checksums
from facecond.sampling.conditions import read_batch
from facecond.sampling.guided import Guided, Interval, make_guided
from facecond.sampling.inputs import (
    Attributes,
    References,
    callback_tensors,
    given_noise,
    noise_of_generators,
    noise_of_seeds,
    read_seeds,
    scales_per_face,
    step_count,
)
from facecond.sampling.loading import loaded
from facecond.sampling.outputs import as_output, check_output_type, to_uint8
from facecond.sampling.papers import Papers
from facecond.sampling.passes import GUIDED, Blend
from facecond.seeding import torch_generator

__all__ = ["GUIDED", "Blend", "FacePipeline", "FacePipelineOutput", "load_pipeline", "to_uint8"]


@dataclass
class FacePipelineOutput(BaseOutput):
    """Sampled faces: `images`, uint8 [B, H, W, 3] unless another `output_type` was asked for.

    `strange` numbers the references that are unlike any face that the model was trained on.
    """

    images: Any
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
    _callback_tensor_inputs: ClassVar[list[str]] = ["latents"]
    model_cpu_offload_seq = "evidence_encoder->condition_encoder->unet->first_stage"
    _papers = Papers()

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
        if evidence_encoder is None or not list(evidence_encoder.parameters()):
            # Parts are offloaded by their parameters; one without any stays on the device.
            self._exclude_from_cpu_offload = ["evidence_encoder"]
            self.model_cpu_offload_seq = "condition_encoder->unet->first_stage"

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
        few_step.check_scheduler(self, name)
        self.scheduler = make_scheduler(name, self.config.schedule, self.config.prediction)

    def use_routing(self, routing: Routing | str | Path) -> None:
        """Route by another table, a routing file or a preset; only what was trained may be on.

        Raises:
            UserError: an unknown name, a file that does not fit, a cell that was not trained.
        """
        if not isinstance(routing, Routing):
            of_tau = partial(log_snr_of, self.config.schedule)
            routing = named_routing(routing, self.unet.trained_routing, of_tau)
        few_step.check_routing(self, routing)
        self.unet.use_routing(routing)

    def use_windows(self, windows: Mapping[str, Sequence[float]]) -> None:
        """Keep sources to windows (lo, hi) of noise levels in tau, beside what the routing says.

        Raises:
            UserError: an unknown source, no window, or one in which the source is never on.
        """
        of_tau = partial(log_snr_of, self.config.schedule)
        self.use_routing(narrowed(self.unet.routing, windows, of_tau))

    @torch.no_grad()
    def __call__(
        self,
        attributes: Attributes | None = None,
        mask: Tensor | np.ndarray | None = None,
        seeds: Sequence[int] | np.ndarray | None = None,
        guidance: Mapping[str, Scale] | None = None,
        num_inference_steps: int | None = None,
        progress: bool = False,
        reference: References | None = None,
        callback_on_step_end: Callable[[FacePipeline, int, Tensor, dict[str, Tensor]], dict]
        | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
        *,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
        latents: Tensor | None = None,
        num_images_per_condition: int = 1,
        guidance_interval: Interval | None = None,
        guidance_rescale: float = 0.0,
        feature_reuse: int = 1,
        weaker: FacePipeline | None = None,
        blend: Blend | None = None,
        output_type: str = "np",
        return_dict: bool = True,
    ) -> Any:
        """Sample faces.

        Args:
            attributes: int8 [B, 40] or [40] (1, 0, -1 = unspecified), `"Smiling=1.5,-Eyeglasses"`
                (1.5 is an emphasis), `{"Smiling": True}`, or a list of such; None leaves all open.
            mask: uint8 [B, H, W] or [H, W] (0..18, 255 = anything); None leaves it open.
            seeds: one per face; noise depends on the seed alone, not on the batch. Pixels are equal
                bit for bit at the same batch, within one grey level at another (in float32). By
                default 0, 1, ...: as many as there are conditions, or one.
            guidance: scale per source or attribute, a number or one per face or condition [B], in
                place of the model's own; one not named has 1.
            num_inference_steps: 1 to 1000, of a distilled model 1, 2, 4 or 8; the default is the
                model's own.
            progress: show a bar over the steps.
            reference: a `Reference`, a picture uint8 [S, S, 3] or one per face [B, S, S, 3] to take
                the appearance of, or a list of such, all of which each face takes from. Their
                guidance scale is that of `reference`.
            callback_on_step_end: called as `callback(pipeline, step, timestep, {"latents": ...})`
                after each step; the `latents` [B, C, h, w] that it returns replace them. What it
                raises ends the sampling; where it sets `pipeline._interrupt` the rest is skipped.
            callback_on_step_end_tensor_inputs: what it is given, of `_callback_tensor_inputs`.
            generator: draws the noise in place of seeds; one for all faces, or one each.
            latents: noise to begin with, float [B, C, h, w], in place of both; what a sampler adds
                is still drawn by them.
            num_images_per_condition: faces of each condition.
            guidance_interval: (lo, hi) in tau, or a window in logSNR. Outside of it all scales but
                0 are 1, and only the full pass is computed.
            guidance_rescale: share 0..1 by which the spread of the guided prediction is brought
                back to that of the full one.
            feature_reuse: run the deep blocks at every so many steps only, and where a source comes
                or goes: faster, less exact. 1 = at each; distilled models take no other.
            weaker: a worse model of the same latents to lead away from, by the scale `weaker` of
                `guidance`; of references it takes what it was itself taught to.
            blend: other conditions that the tokens are led towards, a share of the way.
            output_type: `np` (uint8 [B, H, W, 3]), `pil` (a list, marked as synthetic), `pt`
                (float [B, 3, H, W] in [0, 1]) or `latent`.
            return_dict: False returns (images, strange).

        Raises:
            UserError: a wrong shape or value, an unknown source, NaN in the weights.
        """
        shown_tensors = callback_tensors(
            callback_on_step_end, callback_on_step_end_tensor_inputs, self._callback_tensor_inputs
        )
        check_output_type(output_type)
        device, seeds = self._execution_device, read_seeds(seeds)
        steps = step_count(num_inference_steps, self.config.steps)
        scales = dict(self.config.guidance if guidance is None else guidance)
        given, emphasis = read_batch(
            self, attributes, mask, reference, blend, (seeds, generator, latents),
            num_images_per_condition,
        )  # fmt: skip
        batch, shape = len(given.values), self._latent_shape
        scales = scales_per_face(scales | emphasis, batch, num_images_per_condition)
        guided = make_guided(
            self, weaker, given, scales, guidance_interval, guidance_rescale,
            steps=steps, reuse=feature_reuse,
        )  # fmt: skip
        seeds = list(range(batch)) if seeds is None else seeds
        if latents is not None:
            latents = given_noise(latents, (batch, *shape)).to(device)
        elif generator is not None:
            latents = noise_of_generators(generator, batch, shape).to(device)
        else:
            latents = self._noise(seeds)  # [B, C, h, w]
        generators = [torch_generator(seed, "sampler") for seed in seeds]
        extra = {"generator": generator or generators} if takes_generator(self.scheduler) else {}
        few_step.set_timesteps(self, steps, device)
        latents = latents * getattr(self.scheduler, "init_noise_sigma", 1.0)
        self._interrupt = False
        self.set_progress_bar_config(disable=not progress, leave=False)
        plain = torch.autocast(device.type, enabled=False)
        with self._autocast():  # around all steps: the weights are rounded once
            for step, timestep in enumerate(self.progress_bar(self.scheduler.timesteps)):
                if self._interrupt:
                    continue
                x_t = latents
                if hasattr(self.scheduler, "scale_model_input"):
                    x_t = self.scheduler.scale_model_input(latents, timestep)
                prediction = self._predict(x_t, timestep, guided)
                with plain:
                    trained = self.config.schedule, self.config.prediction
                    prediction = for_sampler(prediction, x_t, timestep, *trained)
                    stepped = self.scheduler.step(prediction, timestep, latents, **extra)
                    latents = stepped.prev_sample
                    if callback_on_step_end is not None:
                        shown = dict.fromkeys(shown_tensors, latents)
                        returned = callback_on_step_end(self, step, timestep, shown)
                        latents = returned.get("latents", latents)
        images = latents if output_type == "latent" else self.first_stage.decode(latents)
        if not (torch.isfinite(latents).all() and torch.isfinite(images).all()):
            raise UserError(
                "sampling gave values that are not finite",
                "model",
                "Its weights may hold NaN: take an earlier checkpoint.",
            )
        if output_type != "latent":
            images = as_output(images, output_type)
        self.maybe_free_model_hooks()
        if not return_dict:
            return images, given.taken.strange
        return FacePipelineOutput(images=images, strange=given.taken.strange)

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], **options: Any
    ) -> FacePipeline:
        """As diffusers does it; weights of a local folder are compared with their checksums first,
        where it has some (but for parts that are given), and its card is kept for saving again.

        Raises:
            UserError: weights that are missing or not those that were saved.
        """
        folder = Path(pretrained_model_name_or_path)
        if folder.is_dir():
            check_weights(folder, without=options)
        made: FacePipeline = super().from_pretrained(pretrained_model_name_or_path, **options)
        if folder.is_dir():
            made._papers = Papers.of(folder)
        return made

    def save_pretrained(self, save_directory: str | os.PathLike[str], **options: Any) -> None:
        """As diffusers does it, with checksums of the weights beside them; a model that was loaded
        takes its card and its provenance along (write others where you changed its weights)."""
        super().save_pretrained(save_directory, **options)
        write_checksums(Path(save_directory))
        self._papers.write(Path(save_directory))

    @property
    def interrupt(self) -> bool:
        """Whether the steps that are left are skipped."""
        return bool(getattr(self, "_interrupt", False))

    def enable_vae_slicing(self) -> None:
        """Decode face by face: less memory for large pictures. The patch code has no need of it."""
        getattr(self.first_stage.autoencoder, "enable_slicing", lambda: None)()

    def disable_vae_slicing(self) -> None:
        """Decode all faces of a batch together again."""
        getattr(self.first_stage.autoencoder, "disable_slicing", lambda: None)()

    def _predict(self, x_t: Tensor, timestep: Tensor, guided: Guided) -> Tensor:
        """One guided prediction [B, C, h, w]."""
        return guided(x_t, timestep, self._log_snr(timestep))

    def _log_snr(self, timestep: Tensor) -> Tensor:
        """logSNR [1] at a timestep of the scheduler (the inverse of `Objective.timestep`)."""
        t = t_of_timestep(self.config.schedule, timestep.double().cpu().reshape(1))
        return log_snr(self.config.schedule, t.clamp(0, 1))

    @property
    def _autocast(self) -> partial[torch.autocast]:
        wanted = self.unet.dtype == torch.float32 and self.precision == "bfloat16"
        return partial(torch.autocast, self._execution_device.type, torch.bfloat16, wanted)

    @property
    def _latent_shape(self) -> tuple[int, int, int]:
        config = self.unet.config
        return config.out_channels, config.sample_size, config.sample_size

    def _noise(self, seeds: Sequence[int]) -> Tensor:
        """Float32 whatever the weights are, [B, C, h, w]."""
        return noise_of_seeds(seeds, self._latent_shape).to(self._execution_device)


def load_pipeline(path: str | Path) -> FacePipeline:
    """A saved model folder, or `boxed` for the model that comes with facecond -> pipeline.

    Raises:
        UserError: not a model folder, a missing or damaged file (weights are compared with their
            checksums), another architecture, NaN weights.
    """
    return loaded(FacePipeline, path)
