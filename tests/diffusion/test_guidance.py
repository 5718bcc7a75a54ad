"""Guidance: the formula, the passes it needs, and what it means for linear predictions."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from facecond.diffusion.guidance import guide, plan
from facecond.errors import UserError

SOURCES = ("attributes", "mask")


def predictions() -> tuple[Tensor, dict[str, Tensor]]:
    values = torch.randn(3, 2, 3, 4, 4, generator=torch.Generator().manual_seed(0)).double()
    return values[0], {"attributes": values[1], "mask": values[2]}


def test_scale_one_needs_no_pass_and_changes_nothing() -> None:
    for scales in ({}, {"mask": 1.0}, {"mask": 1, "attributes": 1.0}):
        planned = plan(scales, SOURCES)
        assert planned.passes == [frozenset()]
        full, _ = predictions()
        assert torch.equal(guide(full, {}, planned.scales), full)


def test_formula() -> None:
    full, without = predictions()
    guided = guide(full, without, {"attributes": 3.0, "mask": 0.5})
    expected = full + 2 * (full - without["attributes"]) - 0.5 * (full - without["mask"])
    assert torch.allclose(guided, expected)


def test_one_source_is_classifier_free_guidance() -> None:
    full, without = predictions()
    null = without["mask"]
    guided = guide(full, {"mask": null}, {"mask": 4.0})
    assert torch.allclose(guided, null + 4 * (full - null))


def test_additive_predictions_are_scaled_source_by_source() -> None:
    """If sources add up, full + sum (w - 1)(full - without) = null + sum w effect."""
    null, effects = predictions()
    full = null + effects["attributes"] + effects["mask"]
    without = {source: full - effects[source] for source in SOURCES}
    scales = {"attributes": 2.5, "mask": 0.3}
    composed = null + sum(scales[s] * effects[s] for s in SOURCES)
    assert torch.allclose(guide(full, without, scales), composed)
    # Linear in each scale.
    at_1 = guide(full, without, scales | {"mask": 1.0})
    at_3 = guide(full, without, scales | {"mask": 3.0})
    assert torch.allclose(guide(full, without, scales | {"mask": 2.0}), (at_1 + at_3) / 2)


def test_passes_hide_one_source_each_beside_the_dropped() -> None:
    both = plan({"mask": 2.0, "attributes": 3.0}, SOURCES)
    assert both.dropped == frozenset()
    assert both.passes == [frozenset(), frozenset({"attributes"}), frozenset({"mask"})]
    assert dict(both.scales) == {"attributes": 3.0, "mask": 2.0}
    one = plan({"mask": 2.0}, SOURCES)
    assert one.passes == [frozenset(), frozenset({"mask"})]


def test_scale_zero_drops_the_source_from_every_pass() -> None:
    planned = plan({"mask": 0, "attributes": 2.0}, SOURCES)
    assert planned.dropped == {"mask"}
    assert planned.passes == [frozenset({"mask"}), frozenset({"mask", "attributes"})]
    assert "mask" not in planned.scales
    assert plan({"mask": 0.0, "attributes": 0}, SOURCES).passes == [frozenset(SOURCES)]


def test_order_of_passes_is_that_of_the_sources() -> None:
    first = plan({"mask": 2.0, "attributes": 3.0}, SOURCES)
    second = plan({"attributes": 3.0, "mask": 2.0}, SOURCES)
    assert list(first.scales) == list(second.scales) == list(SOURCES)


def test_bad_scales_are_refused() -> None:
    with pytest.raises(UserError, match=r"unknown source 'atributes'.*Did you mean 'attributes'"):
        plan({"atributes": 2.0}, SOURCES)
    for scale in (-0.1, float("inf"), float("nan")):
        with pytest.raises(UserError, match="out of range"):
            plan({"mask": scale}, SOURCES)
