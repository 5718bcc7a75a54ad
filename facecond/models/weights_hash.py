"""Which weights these are, whatever file they came from."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import nn


def weights_hash(owner: Any) -> str:
    """SHA-256 over the names and values of all weights of a module or pipeline."""
    parts = {"": owner} if isinstance(owner, nn.Module) else dict(getattr(owner, "components", {}))
    digest = hashlib.sha256()
    for part, module in sorted(parts.items()):
        if isinstance(module, nn.Module):
            for name, tensor in sorted(module.state_dict().items()):
                digest.update(f"{part}.{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
                digest.update(
                    tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
                )
    return digest.hexdigest()
