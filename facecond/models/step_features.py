"""What a distilled denoiser is told beside the moment: length of the step, scales of guidance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from diffusers.models.embeddings import get_timestep_embedding
from torch import Tensor

WIDTH = 64
"""Sines and cosines per number."""
SHORTEST = 0.125
"""Least length of a step that is learned (`diffusion/shortcut.py`)."""


def width(ranges: Mapping[str, Sequence[float]]) -> int:
    """Number of features for these sources."""
    return WIDTH * (1 + len(ranges))


def step_features(step: Tensor, ranges: Mapping[str, Sequence[float]]) -> Tensor:
    """Step length and a scale per source, float [B, 1 + S] -> sines and cosines [B, W].

    Each number is brought to 0..1000 as timesteps are: a scale by its least and greatest value.
    """
    low = torch.tensor([0.0, *(bounds[0] for bounds in ranges.values())], device=step.device)
    high = torch.tensor([1.0, *(bounds[1] for bounds in ranges.values())], device=step.device)
    share = (step - low) / (high - low).clamp_min(1e-6)  # [B, 1 + S]
    features = get_timestep_embedding(1000 * share.flatten(), WIDTH)  # [B (1 + S), W']
    return features.reshape(len(step), -1)  # [B, W]
