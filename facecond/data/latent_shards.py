"""The files of a latent cache: arrays per shard, written atomically, mapped to be read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from facecond.errors import UserError
from facecond.storage import atomic_file

Encode = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor | None]]
"""Pictures uint8 [B, 3, H, W] on the CPU -> mean of their normalised latents [B, C, h, w] and, of a
distribution, its log variance [B, C, h, w]; on any device."""

KINDS = ("masks", "logvars", "latents")
"""Arrays of a shard in the order in which they are written; only a distribution has logvars."""


def shard_file(folder: Path, kind: str, shard: int) -> Path:
    """`latents-00000.npy` and the like."""
    return folder / f"{kind}-{shard:05d}.npy"


def is_written(folder: Path, shard: int) -> bool:
    """Whether a shard is whole: its latents are written last."""
    return all(shard_file(folder, kind, shard).is_file() for kind in ("masks", "latents"))


def write_shard(folder: Path, shard: int, arrays: dict[str, list[np.ndarray]]) -> None:
    """Write a shard from the batches of its arrays; a kind without batches has no file."""
    for kind in KINDS:
        if batches := arrays.get(kind):
            write_array(shard_file(folder, kind, shard), np.concatenate(batches))


def map_shard(folder: Path, shard: int) -> dict[str, np.ndarray]:
    """The arrays of a shard, read from disk where they are looked at."""
    files = {kind: shard_file(folder, kind, shard) for kind in KINDS}
    # As plain arrays on the same memory: indexing a np.memmap itself is slower.
    return {
        kind: np.asarray(np.load(file, mmap_mode="r"))
        for kind, file in files.items()
        if file.is_file()
    }


def write_array(path: Path, array: np.ndarray) -> None:
    """Write a .npy file atomically."""
    with atomic_file(path) as temporary:
        np.save(temporary, array)


def clear(folder: Path) -> None:
    """Remove the files of an earlier cache, its manifest first; partial files of a crash too."""
    for pattern in ("manifest.json", "building.json", "*.npy", ".*.npy"):
        for path in folder.glob(pattern):
            path.unlink()


def encoded(
    encode: Encode, images: Sequence[np.ndarray], latent_shape: Sequence[int]
) -> dict[str, np.ndarray]:
    """B pictures uint8 [H, W, 3] -> `latents` and, of a distribution, `logvars`, float16.

    Raises:
        UserError: values that are not finite in half precision.
    """
    pixels = np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2))
    mean, logvar = encode(torch.from_numpy(pixels))
    arrays = {}
    for kind, values in (("latents", mean), ("logvars", logvar)):
        if values is None:
            continue
        if list(values.shape[1:]) != list(latent_shape):
            raise ValueError(f"encode gives {list(values.shape[1:])}, not {list(latent_shape)}")
        half = values.detach().cpu().to(torch.float16).numpy()
        if not np.isfinite(half).all():
            fix = "Check the weights of the first stage and its scale."
            raise UserError("latents are not finite (NaN, or above 65504)", "first stage", fix)
        arrays[kind] = half
    return arrays
