"""Weights as an optimiser reads them: contiguous views in the order in which they lie in memory."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Views:
    """Contiguous views of weights, which are lent their gradients for a step.

    Build them after the module is on its device and in its memory format. (Where it lies in memory
    may change later: accelerate moves it to `cpu:0` for several processes, which torch does by a
    copy.)

    Args:
        parameters: each contiguous or, with four dimensions, channels last.
        matrices: whether a view is [out, rest].
    """

    def __init__(self, parameters: Sequence[nn.Parameter], matrices: bool = False) -> None:
        self._parameters, self._matrices = list(parameters), matrices
        self._last = [lies_channels_last(p) for p in self._parameters]
        pairs = zip(self._parameters, self._last, strict=True)
        self.tensors = [nn.Parameter(self._view(p.detach(), last)) for p, last in pairs]

    @torch.no_grad()
    def lend(self) -> None:
        """Point the views to where the weights are now, and to their gradients.

        Raises:
            RuntimeError: the memory format is not that of the beginning.
        """
        for parameter, view, last in zip(self._parameters, self.tensors, self._last, strict=True):
            view.data, gradient = self._view(parameter.detach(), last), parameter.grad
            if view.data_ptr() != parameter.data_ptr():
                raise RuntimeError("the memory format changed after the optimiser was built")
            view.grad = None if gradient is None else self._view(gradient, last)

    def clear(self) -> None:
        """Forget the gradients of the weights."""
        for parameter in self._parameters:
            parameter.grad = None

    def _view(self, weight: Tensor, last: bool) -> Tensor:
        """[out, ...] -> the same in order of memory; a copy only of what lies otherwise."""
        ordered = (weight.permute(0, 2, 3, 1) if last else weight).contiguous()
        return ordered.flatten(1) if self._matrices else ordered


def lies_channels_last(weight: Tensor) -> bool:
    """Whether the weight of a convolution lies so in memory, and not contiguous."""
    return weight.ndim == 4 and not weight.is_contiguous()
