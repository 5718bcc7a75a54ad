"""Index-keyed randomness: (seed, keys...) -> generator, the same for any worker or batch."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def key_of(*keys: int | str) -> int:
    """64-bit integer that depends on every key and on their order."""
    text = json.dumps(keys).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def numpy_generator(*keys: int | str) -> np.random.Generator:
    """NumPy generator for these keys, e.g. `(seed, "augment", epoch, index)`."""
    return np.random.Generator(np.random.PCG64(key_of(*keys)))


def torch_generator(*keys: int | str) -> torch.Generator:
    """Torch CPU generator for these keys. Noise is drawn on the CPU so that every device agrees."""
    import torch

    return torch.Generator().manual_seed(key_of(*keys) >> 1)
