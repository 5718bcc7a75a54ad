"""Weights of others: a file of tensors, read without running anything in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from facecond.errors import UserError, reason


def read_weights(path: str | Path, fix: str) -> dict[str, Tensor]:
    """A state dict from .safetensors, or from torch's own format with `weights_only=True`.

    A leading `module.` of every name, which parallel training leaves there, is taken off.

    Raises:
        UserError: there is no such file, it cannot be read, or holds something else; `fix` is the
            advice it gives.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError("there is no such file", path, fix)
    try:
        if path.suffix == ".safetensors":
            loaded: Any = load_file(path)
        else:
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and safetensors raise many kinds
        raise UserError(f"its weights cannot be read ({_why(path, error)})", path, fix) from None
    if not isinstance(loaded, dict) or not all(isinstance(v, Tensor) for v in loaded.values()):
        raise UserError("is no plain list of named tensors", path, fix)
    named = {str(name): tensor for name, tensor in loaded.items()}
    if named and all(name.startswith("module.") for name in named):
        named = {name.removeprefix("module."): tensor for name, tensor in named.items()}
    return named


def load_exactly(network: nn.Module, path: str | Path, name: str, fix: str) -> None:
    """Fill a network from a file that must hold its state dict and nothing else.

    Args:
        name: of the network, for messages.

    Raises:
        UserError: the file cannot be read, lacks a tensor, has one too many, or holds NaN.
    """
    weights, own = read_weights(path, fix), network.state_dict()
    for key, tensor in own.items():
        if key.endswith("num_batches_tracked"):  # counts steps of training; old files lack it
            weights.setdefault(key, tensor)
        if key not in weights or weights[key].shape != tensor.shape:
            raise UserError(f"lacks {name}'s '{key}' of shape {list(tensor.shape)}", path, fix)
        if not torch.isfinite(weights[key]).all():
            raise UserError(f"'{key}' holds NaN or infinite values", path, fix)
    if surplus := sorted(set(weights) - set(own)):
        raise UserError(f"holds '{surplus[0]}', which {name} has not", path, fix)
    network.load_state_dict(weights)


def _why(path: Path, error: Exception) -> str:
    """Why a file of weights cannot be read; what torch says of it is advice to programmers."""
    if path.suffix == ".safetensors":
        return reason(error)
    if "Unsupported global" in str(error):  # torch's restricted unpickler
        return "it holds more than tensors"
    return "it is not in torch's format, or damaged"
