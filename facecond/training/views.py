"""Weights as an optimiser reads them: contiguous views in the order in which they lie in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

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
        self._last = [_lies_channels_last(p) for p in self._parameters]
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
            if view.data_ptr() != parameter.data_ptr():  # the view had to be a copy
                raise RuntimeError("the memory format changed after the optimiser was built")
            view.grad = None if gradient is None else self._view(gradient, last)

    def attach(self, optimizer: torch.optim.Optimizer) -> None:
        """Have an optimiser save its averages in the shape of the weights, and load them so: they
        may be loaded where weights lie otherwise, as on another device."""
        optimizer.register_state_dict_post_hook(
            lambda of, state: self._converted(of, state, self._as_weight)
        )
        optimizer.register_load_state_dict_pre_hook(
            lambda of, state: self._converted(of, state, self._as_view)
        )

    def clear(self) -> None:
        """Forget the gradients of the weights."""
        for parameter in self._parameters:
            parameter.grad = None

    def _converted(
        self,
        optimizer: torch.optim.Optimizer,
        saved: dict[str, Any],
        convert: Callable[[Tensor, int], Tensor],
    ) -> dict[str, Any]:
        """A state whose averages of views are converted; steps and the like stay."""
        places = {id(view): place for place, view in enumerate(self.tensors)}
        order = [p for group in optimizer.param_groups for p in group["params"]]
        state = dict(saved["state"])
        for number, kept in saved["state"].items():
            place = places.get(id(order[number]))
            if place is not None:
                averages = {n: v for n, v in kept.items() if isinstance(v, Tensor) and v.ndim}
                state[number] = kept | {n: convert(v, place) for n, v in averages.items()}
        return saved | {"state": state}

    def _as_weight(self, value: Tensor, place: int) -> Tensor:
        shape = self._parameters[place].shape
        if self._last[place]:
            out, inner, *kernel = shape
            value = value.reshape(out, *kernel, inner).permute(0, 3, 1, 2)
        return value.reshape(shape).contiguous()

    def _as_view(self, value: Tensor, place: int) -> Tensor:
        return self._view(value, self._last[place])

    def _view(self, weight: Tensor, last: bool) -> Tensor:
        """[out, ...] -> the same in order of memory; a copy only of what lies otherwise."""
        ordered = (weight.permute(0, 2, 3, 1) if last else weight).contiguous()
        return ordered.flatten(1) if self._matrices else ordered


def _lies_channels_last(weight: Tensor) -> bool:
    """Whether the weight of a convolution lies so in memory, and not contiguous."""
    return weight.ndim == 4 and not weight.is_contiguous()
