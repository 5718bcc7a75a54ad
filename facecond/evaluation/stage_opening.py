"""The first stage that is to be assessed, fitted or read, with a measured scale."""

from __future__ import annotations

import torch

from facecond.data.fit_images import FitImages
from facecond.data.prepared import PreparedFolder
from facecond.errors import UserError
from facecond.models import first_stage as first_stages
from facecond.models.first_stage import FirstStage


def open_stage(
    source: str, folder: PreparedFolder, patch_size: int = 4, latent_channels: int = 12
) -> FirstStage:
    """The first stage to look at, with a measured scale.

    Args:
        source: `linear` (fitted to the generator's split), or what `load_autoencoder` reads.
        patch_size, latent_channels: of the linear code.

    Raises:
        UserError: there is none, or it does not give back pictures of this size.
    """
    if source == "linear":
        stage = first_stages.fit_linear(FitImages(folder), patch_size, latent_channels)
    else:
        stage = first_stages.load_autoencoder(source)
    stage.to("cuda" if torch.cuda.is_available() else "cpu")
    size = folder.image_size
    if not _gives_back(stage, size):
        raise UserError(
            f"it cannot take {size} px pictures", source, "Prepare the faces at a size it divides."
        )
    if stage.config.latents_mean is None:
        stage.measure(part.to(stage.device) for part in FitImages(folder))
    return stage


@torch.inference_mode()
def _gives_back(stage: FirstStage, size: int) -> bool:
    """Whether pictures of a size come back at that size."""
    probe = torch.zeros(1, 3, size, size, device=stage.device)
    try:
        decoded = stage.autoencoder.decode(stage.raw_latents(probe))
    except (RuntimeError, ValueError):
        return False
    return getattr(decoded, "sample", decoded).shape == probe.shape
