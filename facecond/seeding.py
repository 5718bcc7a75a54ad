"""Index-keyed randomness: (seed, keys...) -> generator, the same for any worker or batch."""

from __future__ import annotations

import hashlib
import json
import operator
from typing import TYPE_CHECKING, SupportsIndex

import numpy as np

if TYPE_CHECKING:
    import torch


def key_of(*keys: SupportsIndex | str) -> int:
    """64-bit integer that depends on every key and on their order; whole numbers of NumPy are
    those of Python."""
    plain = [key if isinstance(key, int | str) else operator.index(key) for key in keys]
    text = json.dumps(plain).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def numpy_generator(*keys: SupportsIndex | str) -> np.random.Generator:
    """NumPy generator for these keys, e.g. `(seed, "augment", epoch, index)`."""
    return np.random.Generator(np.random.PCG64(key_of(*keys)))


def torch_generator(*keys: SupportsIndex | str) -> torch.Generator:
    """Torch CPU generator for these keys. Noise is drawn on the CPU so that every device agrees."""
    import torch

    return torch.Generator().manual_seed(key_of(*keys) >> 1)
