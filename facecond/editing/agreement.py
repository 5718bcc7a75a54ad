"""How much an edit lost and changed: by stage, and by region."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Agreement:
    """Two pictures over some pixels.

    Attributes:
        psnr: in dB; None where they are the same, or there are no such pixels.
        l1, largest: mean and largest difference in grey levels; None without pixels.
    """

    psnr: float | None
    l1: float | None
    largest: int | None


def agreement(first: np.ndarray, second: np.ndarray, pixels: np.ndarray | None = None) -> Agreement:
    """Compare uint8 [S, S, 3] with uint8 [S, S, 3] over bool [S, S]; None = everywhere."""
    difference = np.abs(first.astype(np.int32) - second.astype(np.int32))
    difference = difference if pixels is None else difference[pixels]
    if difference.size == 0:
        return Agreement(None, None, None)
    squares = float((difference**2).mean())
    psnr = round(10 * np.log10(255.0**2 / squares), 3) if squares > 0 else None
    return Agreement(psnr, round(float(difference.mean()), 4), int(difference.max()))


@dataclass(frozen=True)
class EditErrors:
    """What an edit lost on the way, and what it changed.

    Attributes:
        first_stage: the photo against its latents decoded: nothing after can be better.
        inversion: these against the latents that come back from noise under the photo's own
            conditions.
        reconstruction: the photo against the same: both losses together.
        untouched: the photo against the result, where nothing was to change.
        untouched_before: the same, before the two were blended.
        changed: the photo against the result, where something was to change.
        latents_rms: error of the latents that come back, in standard deviations of latents.
        residual: how far the steps of the ODE were from solved, as a share.
        changed_share, untouched_share: of the picture's pixels; the soft edge is neither.
    """

    first_stage: Agreement
    inversion: Agreement
    reconstruction: Agreement
    untouched: Agreement
    untouched_before: Agreement
    changed: Agreement
    latents_rms: float
    residual: float
    changed_share: float
    untouched_share: float

    def as_json(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


def edit_errors(
    photo: np.ndarray,
    through: np.ndarray,
    back: np.ndarray,
    drawn: np.ndarray,
    result: np.ndarray,
    weight: np.ndarray,
    latents_rms: float,
    residual: float,
) -> EditErrors:
    """Compare the stages of an edit, uint8 [S, S, 3] each.

    Args:
        through: the photo through the first stage.
        back: inverted and sampled again.
        drawn: the new face, and `result` its blend with the photo by `weight` float [S, S].
    """
    changed, untouched = weight == 1, weight == 0
    return EditErrors(
        first_stage=agreement(photo, through),
        inversion=agreement(through, back),
        reconstruction=agreement(photo, back),
        untouched=agreement(photo, result, untouched),
        untouched_before=agreement(photo, drawn, untouched),
        changed=agreement(photo, result, changed),
        latents_rms=round(latents_rms, 6),
        residual=round(residual, 6),
        changed_share=round(float(changed.mean()), 4),
        untouched_share=round(float(untouched.mean()), 4),
    )
