"""LPIPS of the lpips package, with its trunk from a file instead of a download.

The package carries its linear heads but not the trunk (AlexNet, VGG-16 or SqueezeNet trained on
ImageNet), which torchvision would fetch. A distance with a random trunk is a usable loss in tests,
but it is not LPIPS and is never called so (see `LpipsDistance.name`).
"""

from __future__ import annotations

import contextlib
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from facecond.errors import UserError, nearest
from facecond.models.weights_file import read_weights
from facecond.seeding import key_of

NETS = ("alex", "vgg", "squeeze")
RANDOM = "random"
"""The word that stands for an untrained trunk."""
SMALLEST = 32
"""Smallest side of a picture that every trunk takes, in pixels."""
_FETCH = "Save torchvision's {} weights there (.pth or .safetensors), or leave the trunk empty."
_TORCHVISION = {"alex": "alexnet", "vgg": "vgg16", "squeeze": "squeezenet1_1"}


class LpipsDistance(nn.Module):
    """Perceptual distance of pictures (Zhang et al. 2018, arXiv 1801.03924), version 0.1.

    Args:
        net: trunk, one of `NETS`.
        trunk: a file with torchvision's weights of that network (.safetensors, or .pth read with
            `weights_only=True`); `"random"` for an untrained one; empty fetches it as torchvision
            does (a download at first use).

    Raises:
        UserError: unknown net; a missing or unfit file; nothing could be fetched.
    """

    def __init__(self, net: str = "alex", trunk: str | Path = "") -> None:
        super().__init__()
        if net not in NETS:
            raise UserError(f"unknown trunk '{net}'", "lpips", nearest(net, NETS))
        self.net, self.trained = net, str(trunk) != RANDOM
        fetch = not str(trunk)
        # The package draws the weights it is about to replace: the global state stays as it was.
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            torch.manual_seed(key_of(0, "lpips", net) >> 1)
            warnings.simplefilter("ignore")  # torchvision's `pretrained=`
            self.distance = _build(net, fetch)
        if self.trained and not fetch:
            _load_trunk(self.distance.net, Path(trunk), net)
        self.requires_grad_(False).eval()

    @property
    def name(self) -> str:
        """`lpips_alex`, ... ; `random_alex`, ... where the trunk is untrained."""
        return f"{'lpips' if self.trained else 'random'}_{self.net}"

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Images [B, 3, H, W] in [-1, 1], H and W >= 32 -> distances [B]."""
        return self.distance(first, second).flatten()  # [B]

    def train(self, mode: bool = True) -> LpipsDistance:
        """Stays in evaluation mode: its heads hold dropout."""
        return super().train(False)


def _build(net: str, fetch: bool) -> Any:
    import lpips

    try:
        with contextlib.redirect_stdout(None):
            return lpips.LPIPS(net=net, pnet_rand=not fetch, verbose=False)
    except OSError as error:  # urllib's errors are OSErrors
        name = _TORCHVISION[net]
        what = f"the {name} trunk could not be fetched ({error})"
        raise UserError(what, "lpips", f"Give a file with torchvision's {name} weights.") from None


def _load_trunk(trunk: nn.Module, path: Path, net: str) -> None:
    """Fill the slices of the trunk from torchvision's `features.N.*`."""
    fix = _FETCH.format(_TORCHVISION[net])
    weights = read_weights(path, fix)
    for name, tensor in trunk.state_dict().items():
        source = f"features.{name.partition('.')[2]}"  # slice2.5.weight -> features.5.weight
        if source not in weights or weights[source].shape != tensor.shape:
            raise UserError(f"lacks '{source}' of the right shape", path, fix)
        tensor.copy_(weights[source])
