"""What a training leaves behind: provenance, sample grids, the model folder and its card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.tensorboard import SummaryWriter
from torchvision.utils import make_grid

from facecond.card import model_card
from facecond.config import FirstStageRunConfig, RunConfig
from facecond.data.prepared import PreparedFolder
from facecond.diffusion.schedulers import scheduler
from facecond.diffusion.shortcut import STEP_COUNTS
from facecond.labels import colour_mask
from facecond.models.denoiser import Denoiser
from facecond.models.evidence import EvidenceEncoder
from facecond.models.first_stage import FirstStage
from facecond.pipeline import FacePipeline
from facecond.provenance import commit, versions
from facecond.storage import atomic_folder, hash_of, write_json, write_text

NOT_TRAINING = (
    "sampling", "data.root", "routing.file", "routing.sensitivity", "train.num_workers",
    "train.log_every", "train.checkpoint_every_s", "train.keep_checkpoints", "train.sample_every",
    "reference.pairs", "few_step.teacher",
)  # fmt: skip
"""Config that may change between the parts of a run: it does not touch the weights. (What the files
of a routing say is in `routing_hash`, a teacher's weights are in `teacher_hash`.)"""


def provenance(config: RunConfig | FirstStageRunConfig, data_hash: str) -> dict[str, Any]:
    """What a run is made from: hashes of config and data, commit, versions, seed."""
    described = {k: v for k, v in asdict(config).items() if k not in unused_sections(config)}
    for key in NOT_TRAINING:
        section, _, name = key.partition(".")
        if name and section in described:  # a first stage has fewer sections
            described[section].pop(name, None)
        elif not name:
            described.pop(section, None)
    return {
        "schema": "facecond.run/1",
        "config_hash": hash_of(described),
        "data_hash": data_hash,
        "commit": commit(),
        "versions": versions(),
        "seed": config.train.seed,
    }


def unused_sections(config: RunConfig | FirstStageRunConfig) -> list[str]:
    """Sections that say nothing: a run without a reference or a teacher is the run that it was
    before there were such sections."""
    usual, sections = RunConfig(), ("reference", "pairs", "few_step")
    return [s for s in sections if getattr(config, s, None) == getattr(usual, s)]


def make_pipeline(
    config: RunConfig, model: Denoiser, stage: FirstStage, evidence: EvidenceEncoder | None = None
) -> FacePipeline:
    """A pipeline around the parts in training; it shares their weights."""
    schedule, prediction = config.objective.schedule, config.objective.prediction
    return FacePipeline(
        unet=model.unet,
        condition_encoder=model.condition_encoder,
        first_stage=stage,
        scheduler=scheduler(config.sampling.scheduler, schedule, prediction),
        schedule=schedule,
        prediction=prediction,
        steps=config.sampling.steps,
        guidance=config.sampling.guidance,
        evidence_encoder=evidence,
    )


class SampleGrids:
    """Condition | sample grids for TensorBoard, with the same conditions and seeds every time."""

    def __init__(
        self, config: RunConfig, folder: PreparedFolder, stage: FirstStage, count: int = 8
    ) -> None:
        self.config, self.stage = config, stage
        rows = folder.indices("generator")[:count]
        self.attributes = folder.attributes[rows]
        self.masks = np.stack([folder.mask(int(row)) for row in rows])

    def write(
        self,
        tensorboard: SummaryWriter,
        model: Denoiser,
        step: int,
        stops: Callable[[], int] = lambda: 0,
    ) -> None:
        """Sample with the weights as they are now and write the grid; no grid once `stops`."""

        def heed(sampling: FacePipeline, *_: Any) -> dict[str, Any]:
            sampling._interrupt = stops() > 0
            return {}

        self.stage.to(model.unet.device)
        pipeline = make_pipeline(self.config, model, self.stage)
        faces = pipeline(
            self.attributes, self.masks, range(len(self.masks)), callback_on_step_end=heed
        ).images
        if pipeline.interrupt:
            return
        tiles = torch.from_numpy(np.concatenate([colour_mask(self.masks), faces]))
        grid = make_grid(tiles.permute(0, 3, 1, 2), nrow=len(faces))
        tensorboard.add_image("condition | sample", grid, step)


def save_model(
    path: Path,
    config: RunConfig,
    model: Denoiser,
    stage: FirstStage,
    run: dict[str, Any],
    source: str,
    evidence: EvidenceEncoder | None = None,
) -> None:
    """Write a diffusers-style model folder with a card and its provenance, atomically; `source`
    is the prepared folder's."""
    for part in (model, stage, evidence):
        if part is not None:
            part.to("cpu")
    pipeline = make_pipeline(config, model, stage, evidence)
    with atomic_folder(path) as temporary:
        pipeline.save_pretrained(temporary, safe_serialization=True)
        parameters = sum(p.numel() for p in model.parameters())
        write_json(temporary / "provenance.json", {**run, "parameters": parameters})
        routing = model.unet.trained_routing
        card = model_card(
            source=source,
            image_size=pipeline.image_size,
            parameters=parameters,
            trained=f"{run['steps']} steps of {run['batch']}",
            objective=_objective(config),
            sources=routing.sources,
            routing=routing.name,
            grid=routing.render(),
            data_hash=run["data_hash"],
            commit=run["commit"],
        )
        write_text(temporary / "README.md", card)


def _objective(config: RunConfig) -> str:
    if config.few_step.teacher:
        steps = ", ".join(map(str, STEP_COUNTS))
        ranges = config.few_step.guidance.items()
        scales = [f"{part} {low:g} to {high:g}" for part, (low, high) in ranges]
        return f"distilled for {steps} steps, guidance: {', '.join(scales) or 'none'}"
    told, lpl = config.objective, config.perceptual.weight
    extra = f", and {lpl:g} x latent perceptual loss" if lpl else ""
    return f"{told.prediction} on {told.schedule}, {told.weighting} weight{extra}"
