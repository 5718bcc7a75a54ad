"""What a training would be, without training: config, parameters, routing, memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import torch

from facecond import config as configs
from facecond.config import FirstStageRunConfig, RunConfig
from facecond.data.prepared import PreparedFolder
from facecond.diffusion import guidance
from facecond.diffusion.objective import Objective
from facecond.diffusion.paths import snr, tau_of
from facecond.diffusion.perceptual import LatentPerceptualLoss
from facecond.diffusion.schedulers import scheduler
from facecond.models.autoencoder_files import find_autoencoder
from facecond.models.condition_dropout import ConditionDropout
from facecond.models.denoiser import Denoiser
from facecond.models.first_stage import AUTOENCODERS, FirstStage
from facecond.pipeline import GUIDED
from facecond.storage import read_json
from facecond.training.initialise import Source
from facecond.training.setup import (
    check_length,
    check_patches,
    check_sampling,
    denoiser_for,
    first_stage_hash,
    uses_bf16,
)
from facecond.training.teacher import Teacher, check_few_step
from facecond.training.transfer import compare


def default_image_size(config: RunConfig) -> int:
    """The size assumed where the config names no data yet: 64 px for the linear patch code, 256 px
    for a pretrained autoencoder."""
    return 64 if config.first_stage.autoencoder == "linear" else 256


def describe(config: RunConfig, init: str | None = None) -> str:
    """The resolved run as text. Builds the network without memory, so any size is fine.

    Args:
        config: of the run.
        init: model to begin with: what would be taken over of it is told.

    Raises:
        UserError: what the training would find wrong in the config before it reads pictures.
    """
    check_length(config)
    if config.first_stage.autoencoder == "linear":
        check_sampling(config, stochastic=False)
    objective = Objective(**asdict(config.objective))
    ConditionDropout(**asdict(config.dropout))
    scheduler(config.sampling.scheduler, objective.schedule, objective.prediction)
    guidance.plan(config.sampling.guidance, GUIDED)
    check_few_step(config)
    teacher = Teacher(config) if config.few_step.teacher else None
    image_size, shape, known = _sizes(config)
    with torch.device("meta"):
        model = denoiser_for(config, image_size, shape)
    begun = []
    if teacher is not None:
        init = init or str(teacher.source.path)
        begun = [f"teacher     {teacher.describe()}"]
    if init:
        source = Source.open(init)
        begun.append(f"init        {compare(model, source.weights()).report(source.path)}")
        if teacher is not None:
            same = source.has_first_stage_of(config)
            teacher.check(model, first_stage_hash(source.first_stage) if same else None)
    weights = sum(p.numel() for p in model.parameters())
    encoder = sum(p.numel() for p in model.condition_encoder.parameters())
    activations = _activation_bytes(model, config, image_size, shape)
    # Weights, gradients, average in float32, and the optimiser: one buffer (Muon) or two (AdamW).
    state = weights * 4 * (4 if config.optim.optimizer == "muon" else 5)
    shares = " ".join(f"{share:.2f}" for share in objective.effective_weight())
    weighed = f"weight      {shares} (share of the loss weight per tenth of t)"
    return "\n".join(
        [
            configs.dump(config).rstrip(),
            "",
            f"pictures    {image_size} px ({known})",
            f"latents     {shape[0]} x {shape[1]} x {shape[2]}",
            f"parameters  {weights / 1e6:.2f} M (condition encoders {encoder / 1e6:.2f} M)",
            f"memory      about {(state + activations) / 2**30:.2f} GiB at batch "
            f"{config.train.batch_size}: {state / 2**30:.2f} for weights, gradients, optimiser and "
            f"average, {activations / 2**30:.2f} for activations",
            *([weighed] if teacher is None else []),
            *_perceptual_lines(config, objective, shape),
            *begun,
            "",
            model.unet.routing.render(partial(tau_of, objective.schedule)),
        ]
    )


def _sizes(config: RunConfig) -> tuple[int, tuple[int, int, int], str]:
    """Picture size, latent shape, and where the size comes from."""
    size, known = default_image_size(config), "assumed: data.root is not set"
    if config.data.root:
        size, known = PreparedFolder.open(config.data.root).image_size, config.data.root
    if config.first_stage.autoencoder == "linear":
        check_patches(config, size)
    channels, factor = config.first_stage.latent_channels, config.first_stage.patch_size
    return size, (channels, size // factor, size // factor), known


def _activation_bytes(
    model: Denoiser, config: RunConfig, image_size: int, shape: tuple[int, int, int]
) -> int:
    """Bytes that autograd keeps of the denoiser between forward and backward."""
    if config.train.gradient_checkpointing:
        model.unet.enable_gradient_checkpointing()
    batch, ranges = config.train.batch_size, model.unet.config.guidance_ranges

    def forward() -> None:
        model(
            torch.zeros(batch, *shape),
            torch.zeros(batch),
            torch.zeros(batch, 40, dtype=torch.int8),
            torch.zeros(batch, image_size, image_size, dtype=torch.uint8),
            torch.zeros(model.unet.trained_routing.gates(np.zeros(1))[0].shape),
            step=None if ranges is None else torch.ones(batch, 1 + len(ranges)),
        )

    return kept_bytes(config, {id(p) for p in model.parameters()}, forward)


def _perceptual_lines(
    config: RunConfig, objective: Objective, shape: tuple[int, int, int]
) -> list[str]:
    """The latent perceptual loss in words, with the memory of its decoder where that is known."""
    if config.perceptual.weight == 0:
        return []
    knobs = config.perceptual
    u = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    share = float((snr(objective.schedule, objective.quantile(u)) >= knobs.min_snr).double().mean())
    line = f"perceptual  weight {knobs.weight:g} where SNR >= {knobs.min_snr:g} ({share:.0%})"
    with torch.device("meta"):
        stage = _first_stage(config, shape[0])
    if stage is None:
        return [f"{line}; memory of the decoder's features: unknown before it is loaded"]
    stage.requires_grad_(False)
    loss = LatentPerceptualLoss(stage.decoder_features, objective, **asdict(knobs))
    active = math.ceil(share * config.train.batch_size)
    recompute = config.train.gradient_checkpointing
    maps: list[torch.Tensor] = []

    def forward() -> None:
        estimate = torch.zeros(active, *shape, requires_grad=True)
        maps.extend(stage.decoder_features(estimate, knobs.layers, recompute))
        for level in maps:
            loss.distance(level, torch.zeros_like(level))

    kept = kept_bytes(config, {id(p) for p in stage.parameters()}, forward)
    return [f"{line}, feature maps: {len(maps)}; about {kept / 2**30:.2f} GiB more for activations"]


def _first_stage(config: RunConfig, channels: int) -> FirstStage | None:
    """The first stage without its weights, where a dry run can know its architecture."""
    scale = {"latents_mean": [0.0] * channels, "latents_std": [1.0] * channels}
    wanted = config.first_stage
    if wanted.autoencoder == "linear":
        sizes = {"patch_size": wanted.patch_size, "latent_channels": channels}
        return FirstStage("LinearPatchCode", sizes, **scale)
    if not Path(wanted.autoencoder).is_dir():
        return None
    found = read_json(find_autoencoder(wanted.autoencoder) / "config.json")
    if found.get("_class_name") == FirstStage.__name__:
        return FirstStage(found["autoencoder_class"], found["autoencoder_config"], **scale)
    if found.get("_class_name") not in AUTOENCODERS:
        return None
    options = {key: value for key, value in found.items() if not key.startswith("_")}
    return FirstStage(found["_class_name"], options, **scale)


def kept_bytes(
    config: RunConfig | FirstStageRunConfig, weights: set[int], forward: Callable[[], None]
) -> int:
    """Bytes that autograd keeps in `forward`, counted on tensors without memory."""
    kept: dict[int, int] = {}

    def count(tensor: torch.Tensor) -> torch.Tensor:
        if id(tensor) not in weights:
            storage = tensor.untyped_storage()
            kept[storage._cdata] = storage.nbytes()
        return tensor

    with (
        torch.device("meta"),
        torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor),
    ):
        forward()
    total = sum(kept.values())
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return total // 2 if uses_bf16(config, device) else total
