"""Weights as optimisers read them: whose memory they share, in which order, whose gradients."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from facecond.training.views import Views

FORMATS = [torch.contiguous_format, torch.channels_last]


def weight(memory_format: torch.memory_format) -> nn.Parameter:
    made = torch.arange(2 * 3 * 2 * 2.0).reshape(2, 3, 2, 2)
    return nn.Parameter(made.to(memory_format=memory_format))


@pytest.mark.parametrize("matrices", [False, True])
@pytest.mark.parametrize("memory_format", FORMATS)
def test_a_view_is_the_weight_in_order_of_memory(
    memory_format: torch.memory_format, matrices: bool
) -> None:
    parameter = weight(memory_format)
    last = memory_format == torch.channels_last
    assert parameter.is_contiguous() != last
    views = Views([parameter], matrices)
    (view,) = views.tensors
    ordered = parameter.detach().permute(0, 2, 3, 1) if last else parameter.detach()
    assert view.is_contiguous() and view.data_ptr() == parameter.data_ptr()
    assert torch.equal(view, ordered.flatten(1) if matrices else ordered)
    for other in FORMATS:  # a gradient may lie otherwise
        parameter.grad = (10 * parameter.detach()).to(memory_format=other)
        views.lend()
        assert torch.equal(view.grad, 10 * view)
    views.clear()
    assert parameter.grad is None
    views.lend()
    assert view.grad is None


def test_a_view_follows_a_weight_that_moves() -> None:
    parameter = weight(torch.channels_last)
    views = Views([parameter])
    parameter.data = parameter.data.clone(memory_format=torch.preserve_format) + 1
    views.lend()
    with torch.no_grad():
        views.tensors[0].mul_(0)
    assert not parameter.any()


def test_a_memory_format_that_changes_is_told() -> None:
    layer = nn.Conv2d(4, 3, 3)
    views = Views([layer.weight])
    layer.to(memory_format=torch.channels_last)
    with pytest.raises(RuntimeError, match="memory format changed"):
        views.lend()
