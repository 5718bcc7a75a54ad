"""What a training would be, without training: config, parameters, routing, memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

import torch
from torch import nn

from facecond import config as configs
from facecond.config import RunConfig
from facecond.data.prepared import PreparedFolder
from facecond.diffusion import guidance
from facecond.diffusion.objective import Objective
from facecond.diffusion.schedulers import scheduler
from facecond.models.conditions import ConditionDropout
from facecond.models.denoiser import Denoiser
from facecond.models.routing import SOURCES
from facecond.training.setup import check_length, check_patches, denoiser_for, uses_bf16


def default_image_size(config: RunConfig) -> int:
    """The size assumed where the config names no data yet: 64 px for the linear patch code, 256 px
    for a pretrained autoencoder."""
    return 64 if config.first_stage.autoencoder == "linear" else 256


def describe(config: RunConfig) -> str:
    """The resolved run as text. Builds the network without memory, so any size is fine.

    Raises:
        UserError: what the training would find wrong in the config before it reads pictures.
    """
    check_length(config)
    objective = Objective(**asdict(config.objective))
    ConditionDropout(**asdict(config.dropout))
    scheduler(config.sampling.scheduler, objective.schedule, objective.prediction)
    guidance.plan(config.sampling.guidance, SOURCES)
    image_size, shape, known = _sizes(config)
    with torch.device("meta"):
        model = denoiser_for(config, image_size, shape)
    weights = sum(p.numel() for p in model.parameters())
    encoder = sum(p.numel() for p in model.condition_encoder.parameters())
    activations = _activation_bytes(model, config, image_size, shape)
    # Weights, gradients, average in float32, and the optimiser: one buffer (Muon) or two (AdamW).
    state = weights * 4 * (4 if config.optim.optimizer == "muon" else 5)
    shares = " ".join(f"{share:.2f}" for share in objective.effective_weight())
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
            f"weight      {shares} (share of the loss weight per tenth of t)",
            "",
            model.unet.routing.render(),
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
    """Bytes that autograd keeps between forward and backward, counted on tensors without memory."""
    if config.train.gradient_checkpointing:
        model.unet.enable_gradient_checkpointing()
    batch = config.train.batch_size
    with torch.device("meta"):
        total = kept_bytes(
            model,
            lambda: model(
                torch.zeros(batch, *shape),
                torch.zeros(batch),
                torch.zeros(batch, 40, dtype=torch.int8),
                torch.zeros(batch, image_size, image_size, dtype=torch.uint8),
            ),
        )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return total // 2 if uses_bf16(config, device) else total


def kept_bytes(model: nn.Module, forward: Callable[[], object]) -> int:
    """Bytes of the tensors, other than the parameters, that autograd keeps after `forward`."""
    parameters = {id(p) for p in model.parameters()}
    kept: dict[int, int] = {}

    def count(tensor: torch.Tensor) -> torch.Tensor:
        if id(tensor) not in parameters:
            storage = tensor.untyped_storage()
            kept[storage._cdata] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        forward()
    return sum(kept.values())
