"""What the assessment of a first stage found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class StageReport:
    """What was found; `rows` as in `reconstruction_rows`."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    """Latent shape, compression, parameters, time per picture."""
    latents: list[dict[str, float]] = field(default_factory=list)
    """By channel: stored mean and std, and mean and std of the normalised test latents."""
    notes: list[str] = field(default_factory=list)
    """What was left out, and why."""
    first: np.ndarray = field(default_factory=lambda: np.zeros((0, 2, 1, 1, 3), np.uint8))
    """Originals and reconstructions, uint8 [k, 2, S, S, 3]."""
    worst: np.ndarray = field(default_factory=lambda: np.zeros((0, 2, 1, 1, 3), np.uint8))
    """The same, of lowest PSNR, the lowest first."""
    provenance: dict[str, Any] = field(default_factory=dict)
