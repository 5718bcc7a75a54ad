"""What each layer adds to the hidden states for a source, read while the UNet runs.

The score is ||u|| / ||h||: u the gated contribution as it leaves `to_out` (without its bias, which
no condition reaches), h the stream of hidden states that it is added to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from facecond.models.attention import Conditions, MultiSourceAttention
from facecond.models.unet import FaceUNet


class Streams:
    """The hidden states that reach each cross-attention layer, listened to while the UNet runs.

    Attributes:
        hidden: layer index -> the stream h [B, N, C].
        normed: layer index -> what the attention reads, its normalised form.
    """

    def __init__(self, unet: FaceUNet, faces: int) -> None:
        self.unet, self.faces = unet, faces
        self.hidden: dict[int, Tensor] = {}
        self.normed: dict[int, Tensor] = {}

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Keep the first `faces` rows of what passes while the block runs."""

        def keep(place: dict[int, Tensor], index: int) -> Any:
            def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
                place[index] = inputs[0][: self.faces]

            return hook

        hooks = []
        for index, layer in enumerate(self.unet.trained_routing.layers):
            block = self.unet.get_submodule(layer.id)
            hooks.append(block.norm2.register_forward_pre_hook(keep(self.hidden, index)))
            hooks.append(block.attn2.register_forward_pre_hook(keep(self.normed, index)))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def measure(
        self,
        attention: MultiSourceAttention,
        source: str,
        conditions: Sequence[Conditions],
    ) -> np.ndarray:
        """Contribution under the first condition, and how far each further one moves it, as shares
        of ||h||: float64 [len(conditions), faces]."""
        index = attention.layer_index
        size = _norm(self.hidden[index])
        first, *rest = (
            functional.linear(
                attention.contributions(self.normed[index], each)[source], attention.to_out.weight
            )
            for each in conditions
        )
        moved = [_norm(u - first) / size for u in rest]
        return torch.stack([_norm(first) / size, *moved]).cpu().numpy()


def _norm(states: Tensor) -> Tensor:
    return states.double().flatten(1).norm(dim=1)
