"""Agreement of pictures with their originals: PSNR and SSIM of each pair."""

from __future__ import annotations

import numpy as np

WINDOW_REACH = 5
"""Pixels from the middle of SSIM's window to its edge; torchmetrics mirrors the picture there."""


def psnr(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio in dB of each pair: 10 log10(255^2 / mean squared difference).

    Args:
        first, second: uint8 [N, H, W, 3].

    Returns:
        float64 [N]; infinite where the two are the same.
    """
    _check(first, second)
    squares = (first.astype(np.int32) - second.astype(np.int32)) ** 2
    error = squares.reshape(len(first), -1).mean(1)
    with np.errstate(divide="ignore"):
        return 10 * np.log10(255.0**2 / error)


def ssim(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Structural similarity of each pair (Wang et al. 2004), by torchmetrics: a Gaussian window of
    sigma 1.5 (11 pixels), mean over the colour channels and the places where it lies inside.

    Args:
        first, second: uint8 [N, H, W, 3], sides above 10 pixels.

    Returns:
        float64 [N]; 1 where the two are the same.
    """
    import torch
    from torchmetrics.functional.image import structural_similarity_index_measure

    _check(first, second)
    one, other = (torch.from_numpy(part).permute(0, 3, 1, 2).double() for part in (first, second))
    _, everywhere = structural_similarity_index_measure(
        one, other, data_range=255.0, reduction="none", return_full_image=True
    )
    inside = everywhere[:, :, WINDOW_REACH:-WINDOW_REACH, WINDOW_REACH:-WINDOW_REACH]
    return inside.mean((1, 2, 3)).numpy()


def _check(first: np.ndarray, second: np.ndarray) -> None:
    if first.shape != second.shape or first.dtype != np.uint8 or second.dtype != np.uint8:
        kinds = [f"{part.shape} {part.dtype}" for part in (first, second)]
        raise ValueError(f"pictures of {kinds[0]} and {kinds[1]} do not match")
