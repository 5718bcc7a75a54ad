"""The average of the weights: by its formula, frozen weights, and going on from a saved state."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from facecond.training.average import WeightAverage

FORMATS = [torch.contiguous_format, torch.channels_last]


def network(memory_format: torch.memory_format) -> nn.Module:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(4, 3, 3), nn.Conv2d(3, 2, 1, bias=False))
    module[1].requires_grad_(False)
    return module.to(memory_format=memory_format)


@torch.no_grad()
def move(module: nn.Module, step: int) -> None:
    """As an optimiser would: frozen weights stay."""
    generator = torch.Generator().manual_seed(step)
    for parameter in module.parameters():
        if parameter.requires_grad:
            parameter.add_(torch.randn(parameter.shape, generator=generator))


@pytest.mark.parametrize("memory_format", FORMATS)
def test_average_is_that_of_its_formula(memory_format: torch.memory_format) -> None:
    module = network(memory_format)
    average = WeightAverage(module.parameters(), decay=0.3)
    expected = [p.detach().double() for p in module.parameters()]
    for step in range(1, 7):
        move(module, step)
        average.step(module.parameters())
        kept = min(0.3, step / (9 + step)) if step > 1 else 0.0
        pairs = zip(expected, module.parameters(), strict=True)
        expected = [kept * e + (1 - kept) * p.detach().double() for e, p in pairs]
    assert kept == 0.3
    for found, wanted in zip(average.shadow_params, expected, strict=True):
        assert torch.allclose(found.double(), wanted, atol=1e-6)
    assert torch.equal(average.shadow_params[-1], module[1].weight)


@pytest.mark.parametrize("memory_format", FORMATS)
def test_a_saved_average_goes_on_bit_for_bit(memory_format: torch.memory_format) -> None:
    module = network(memory_format)
    average = WeightAverage(module.parameters(), decay=0.9)
    for step in range(3):
        move(module, step)
        average.step(module.parameters())
    saved = average.state_dict()
    saved["shadow_params"] = [
        p.clone(memory_format=torch.contiguous_format) for p in saved["shadow_params"]
    ]
    other = WeightAverage(module.parameters(), decay=0.9)
    other.resume(saved, module.parameters())
    assert [p.stride() for p in other.shadow_params] == [p.stride() for p in module.parameters()]
    for step in range(3, 6):
        move(module, step)
        for one in (average, other):
            one.step(module.parameters())
    pairs = zip(average.shadow_params, other.shadow_params, strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
