"""Pipelines that multiply in the number format that a benchmark asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from facecond.benchmarks.settings import Settings
from facecond.benchmarks.work import Work, device_of, own_denoiser, seeded
from facecond.data.rendered import render
from facecond.diffusion.schedulers import scheduler
from facecond.models.denoiser import Denoiser
from facecond.models.first_stage import FirstStage
from facecond.models.pixels import to_network
from facecond.pipeline import FacePipeline
from facecond.sampling.loading import loaded


class PrecisePipeline(FacePipeline):
    """Does not choose its number format by the device; `multiplies_in` says it."""

    multiplies_in = "float32"

    @property
    def precision(self) -> str:
        """`bfloat16` or `float32`."""
        return self.multiplies_in


def precise(pipeline: PrecisePipeline, settings: Settings) -> PrecisePipeline:
    """On the device and in the format of the settings."""
    pipeline.multiplies_in = "bfloat16" if settings.precision == "bf16" else "float32"
    pipeline.to(device_of(settings))
    return pipeline


def open_pipeline(path: str | Path, settings: Settings) -> PrecisePipeline:
    """A saved model."""
    return precise(loaded(PrecisePipeline, Path(path)), settings)


def linear_stage(work: Work, seed: int) -> FirstStage:
    """A patch code of the work's latents, fitted to a few rendered faces."""
    channels, side, _ = work.latent_shape
    patch = work.image_size // side
    size = max(64, work.image_size)
    faces = [render(seed, i, size).image[: work.image_size, : work.image_size] for i in range(16)]
    pictures = torch.stack([to_network(torch.from_numpy(face).permute(2, 0, 1)) for face in faces])
    stage = FirstStage("LinearPatchCode", {"patch_size": patch, "latent_channels": channels})
    stage.autoencoder.fit(pictures)
    stage.measure([pictures])
    return stage.requires_grad_(False).eval()


def pipeline_of(
    model: Denoiser, work: Work, settings: Settings, sampler: str, **options: Any
) -> PrecisePipeline:
    """A pipeline around an untrained denoiser; `options` are those of `FacePipeline`."""
    objective = work.config.objective
    made = PrecisePipeline(
        model.unet.eval(),
        model.condition_encoder.eval(),
        linear_stage(work, settings.seed),
        scheduler(sampler, objective.schedule, objective.prediction),
        schedule=objective.schedule,
        prediction=objective.prediction,
        **options,
    )
    return precise(made, settings)


def untrained(path: Path, work: Work, settings: Settings) -> Path:
    """Save a pipeline with random weights into a folder and return the folder."""
    sampling = work.config.sampling
    with seeded(settings.seed, "untrained"):
        model = own_denoiser(work, settings.seed)
    made = pipeline_of(
        model, work, settings, sampling.scheduler,
        steps=sampling.steps, guidance=dict(sampling.guidance),
    )  # fmt: skip
    FacePipeline(**made.components, **_settings_of(made)).to("cpu").save_pretrained(path)
    return path


def _settings_of(pipeline: FacePipeline) -> dict[str, Any]:
    return {name: pipeline.config[name] for name in ("schedule", "prediction", "steps", "guidance")}
