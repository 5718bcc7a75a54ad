"""What the training of a first stage leaves behind: grids of reconstructions, the saved stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from torchvision.utils import make_grid

from facecond.config import FirstStageRunConfig
from facecond.data.fit_images import FitImages
from facecond.data.prepared import PreparedFolder
from facecond.models.first_stage import FirstStage
from facecond.models.kl_autoencoder import reduction
from facecond.models.pixels import to_network
from facecond.storage import atomic_folder, write_json, write_text


class Grids:
    """Pictures over their reconstructions for TensorBoard, the same pictures every time."""

    def __init__(self, folder: PreparedFolder, count: int = 8) -> None:
        rows = folder.indices("generator")[:count]
        pictures = np.stack([folder.image(int(row)) for row in rows])
        self.pictures = torch.from_numpy(pictures).permute(0, 3, 1, 2)  # u8 [k, 3, H, W]

    @torch.no_grad()
    def write(self, tensorboard: SummaryWriter, autoencoder: AutoencoderKL, step: int) -> None:
        """Reconstruct with the weights as they are now and write the grid."""
        images = to_network(self.pictures.to(autoencoder.device))
        latents = autoencoder.encode(images).latent_dist.mode()
        rebuilt = autoencoder.decode(latents).sample.clamp(-1, 1).cpu()
        tiles = torch.cat([self.pictures.float() / 255, (rebuilt + 1) / 2])
        grid = make_grid(tiles, nrow=len(images))
        tensorboard.add_image("picture | reconstruction", grid, step)


def save_model(
    path: Path,
    config: FirstStageRunConfig,
    autoencoder: AutoencoderKL,
    folder: PreparedFolder,
    run: dict[str, Any],
) -> None:
    """Measure the latents and write a `FirstStage` folder with a card, atomically."""
    stage = FirstStage("AutoencoderKL", _arguments(autoencoder))
    stage.autoencoder = autoencoder
    stage.measure(part.to(autoencoder.device) for part in FitImages(folder))
    factor = scaling_factor(stage.config.latents_mean, stage.config.latents_std)
    autoencoder.register_to_config(scaling_factor=factor)
    stage.register_to_config(autoencoder_config=_arguments(autoencoder))
    stage.to("cpu")
    parameters = sum(p.numel() for p in stage.parameters())
    with atomic_folder(path) as temporary:
        stage.save_pretrained(temporary)
        write_json(temporary / "provenance.json", {**run, "parameters": parameters})
        write_text(temporary / "README.md", _card(config, folder, stage, run, parameters))


def scaling_factor(mean: list[float], std: list[float]) -> float:
    """1 / std of all raw latents together: what diffusers calls the scaling factor."""
    means, stds = torch.tensor(mean), torch.tensor(std)
    variance: Tensor = stds.square().mean() + means.var(correction=0)
    return float(variance.rsqrt())


def _arguments(autoencoder: AutoencoderKL) -> dict[str, Any]:
    """What it was built from, without what diffusers notes for itself."""
    return {key: value for key, value in autoencoder.config.items() if not key.startswith("_")}


def _card(
    config: FirstStageRunConfig,
    folder: PreparedFolder,
    stage: FirstStage,
    run: dict[str, Any],
    parameters: int,
) -> str:
    size, loss = folder.image_size, config.loss
    reduced = reduction(config.autoencoder.block_out_channels)
    channels = config.autoencoder.latent_channels
    latents = f"{channels} x {size // reduced} x {size // reduced}"
    pairs = zip(stage.config.latents_mean, stage.config.latents_std, strict=True)
    scale = ", ".join(f"{mean:.3f} ± {std:.3f}" for mean, std in pairs)
    adversary = f"{loss.adversary:g} from step {loss.adversary_start}" if loss.adversary else "none"
    return f"""---
library_name: facecond
tags: [autoencoder, face-generation, latent-diffusion]
---
# A facecond first stage

A KL autoencoder between face pictures and the latents that a denoiser learns on.

| | |
|---|---|
| parameters | {parameters / 1e6:.2f} M |
| pictures, latents | {size} px, {latents} (f{reduced}) |
| steps, batch | {run["steps"]}, {run["batch"]} |
| loss | L1 {loss.l1:g}, perceptual {loss.perceptual:g} ({run["perceptual"]}), KL {loss.kl:g} |
| adversary | {adversary} |
| latents before normalisation, by channel | {scale} |
| data hash | `{run["data_hash"][:16]}` |
| commit | `{run["commit"]}` |

Use it in a training of the denoiser:
`--set first_stage.autoencoder=THIS_FOLDER first_stage.patch_size={reduced}
first_stage.latent_channels={channels}`.
How much it loses: `facecond evaluate first-stage THIS_FOLDER --data DIR`.

A model trained on CelebA data falls under its non-commercial terms.
"""
