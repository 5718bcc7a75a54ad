"""The average of the weights over the steps, which is the model that a training saves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from diffusers.training_utils import EMAModel
from torch import Tensor, nn


class WeightAverage(EMAModel):
    """diffusers' exponential moving average, moved in one pass over memory.

    (Its own step makes a copy of all weights first: on a processor that took a quarter of a
    training step of the 233M network of 256 px.)

    Args:
        parameters: what is averaged; frozen ones are kept as they are.
        decay: of the average in the end; in its first steps it follows the weights faster
            (`EMAModel.get_decay`).
    """

    shadow_params: list[Tensor]

    def __init__(self, parameters: Iterable[nn.Parameter], decay: float) -> None:
        super().__init__(parameters, decay=decay, foreach=True)

    @torch.no_grad()
    def step(self, parameters: Iterable[nn.Parameter]) -> None:
        """Move towards the weights as they are after an update."""
        self.optimization_step += 1
        self.cur_decay_value = self.get_decay(self.optimization_step)
        torch._foreach_lerp_(self.shadow_params, list(parameters), 1 - self.cur_decay_value)

    @torch.no_grad()
    def resume(self, state: dict[str, Any], parameters: Iterable[nn.Parameter]) -> None:
        """Go on from a saved state, each tensor on the device and in the memory format of its
        parameter, so that a step goes through both in order."""
        self.load_state_dict(state)
        pairs = zip(self.shadow_params, parameters, strict=True)
        self.shadow_params = [torch.empty_like(p).copy_(saved) for saved, p in pairs]
