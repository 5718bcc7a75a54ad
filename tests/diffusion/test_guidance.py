"""Guidance: the formula, the passes it needs, and what it means for linear predictions."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from facecond.diffusion.guidance import GuidancePlan, guide, plan, rescale
from facecond.errors import UserError

SOURCES = ("attributes", "mask")


def predictions(batch: int = 2) -> tuple[Tensor, dict[str, Tensor]]:
    values = torch.randn(3, batch, 3, 4, 4, generator=torch.Generator().manual_seed(0)).double()
    return values[0], {"attributes": values[1], "mask": values[2]}


def lacking(planned: GuidancePlan) -> list[frozenset[str]]:
    """What each row of the network's batch lacks."""
    return [
        frozenset(part for part in SOURCES if planned.lacks(part)[row])
        for row in range(len(planned.rows))
    ]


def test_scale_one_needs_no_pass_and_changes_nothing() -> None:
    for scales in ({}, {"mask": 1.0}, {"mask": 1, "attributes": 1.0}):
        planned = plan(scales, SOURCES)
        assert lacking(planned) == [frozenset()]
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


def test_passes_hide_one_source_each_beside_the_hidden() -> None:
    both = plan({"mask": 2.0, "attributes": 3.0}, SOURCES)
    assert lacking(both) == [frozenset(), frozenset({"attributes"}), frozenset({"mask"})]
    assert {part: scale.tolist() for part, scale in both.scales.items()} == {
        "attributes": [3.0],
        "mask": [2.0],
    }
    assert lacking(plan({"mask": 2.0}, SOURCES)) == [frozenset(), frozenset({"mask"})]


def test_scale_zero_hides_the_source_in_every_pass() -> None:
    planned = plan({"mask": 0, "attributes": 2.0}, SOURCES)
    assert lacking(planned) == [frozenset({"mask"}), frozenset({"mask", "attributes"})]
    assert "mask" not in planned.scales
    assert lacking(plan({"mask": 0.0, "attributes": 0}, SOURCES)) == [frozenset(SOURCES)]


def test_order_of_passes_is_that_of_the_sources() -> None:
    first = plan({"mask": 2.0, "attributes": 3.0}, SOURCES)
    second = plan({"attributes": 3.0, "mask": 2.0}, SOURCES)
    assert list(first.scales) == list(second.scales) == list(SOURCES)


def test_scales_per_image_are_those_of_each_image_alone() -> None:
    scales = {"mask": torch.tensor([1.0, 2.0, 0.0, 0.0]),
              "attributes": torch.tensor([3.0, 1.0, 1.0, 1.5])}  # fmt: skip
    planned = plan(scales, SOURCES, 4)
    assert planned.rows.tolist() == [0, 1, 2, 3, 0, 3, 1]  # of 12 rows, the 5 others say nothing
    full, without = predictions(4)
    predicted = torch.stack(
        [full[0], full[1], without["mask"][2], without["mask"][3],
         without["attributes"][0], without["attributes"][3], without["mask"][1]]
    )  # fmt: skip
    whole, parts = planned.split(predicted)
    guided = guide(whole, parts, planned.scales)
    assert torch.allclose(guided[0], full[0] + 2 * (full[0] - without["attributes"][0]))
    assert torch.allclose(guided[1], full[1] + (full[1] - without["mask"][1]))
    assert torch.equal(guided[2], without["mask"][2])  # the row whose mask is hidden
    hidden = without["mask"][3]
    assert torch.allclose(guided[3], hidden + 0.5 * (hidden - without["attributes"][3]))
    rows = [*planned.rows.tolist()]
    alike = [plan({s: float(w[i]) for s, w in scales.items()}, SOURCES) for i in range(4)]
    for image, alone in enumerate(alike):
        mine = [row for row, owner in enumerate(rows) if owner == image]
        assert [lacking(planned)[row] for row in mine] == lacking(alone)


def test_an_image_that_has_nothing_of_a_part_needs_no_pass_without_it() -> None:
    given = {"mask": torch.tensor([True, False, True])}
    planned = plan({"mask": 2.0}, SOURCES, 3, given)
    assert planned.images["mask"].tolist() == [0, 2]
    full, without = predictions(3)
    whole, parts = planned.split(torch.cat([full, without["mask"][[0, 2]]]))
    assert torch.equal(guide(whole, parts, planned.scales)[1], full[1])
    assert not plan({"mask": 2.0}, SOURCES, 3, {"mask": torch.zeros(3, dtype=torch.bool)}).images


def test_selected_passes_are_rows_of_the_whole_plan() -> None:
    planned = plan({"mask": 2.0, "attributes": torch.tensor([2.0, 1.0])}, SOURCES, 2)
    assert planned.rows.tolist() == [0, 1, 0, 0, 1]
    chosen, rows = planned.select({"mask"})
    assert rows.tolist() == [0, 1, 3, 4]
    assert torch.equal(planned.rows[rows], chosen.rows)
    assert list(chosen.scales) == ["mask"]
    assert planned.select(())[1].tolist() == [0, 1]


def test_rescale_gives_back_the_spread_image_by_image() -> None:
    full, without = predictions()
    guided = guide(full, without, {"mask": 6.0})
    spread = rescale(guided, full, 1.0).std((1, 2, 3))
    assert torch.allclose(spread, full.std((1, 2, 3)))
    assert torch.equal(rescale(guided, full, 0.0), guided)
    half = (guided + rescale(guided, full, 1.0)) / 2
    assert torch.allclose(rescale(guided, full, 0.5), half)


def test_bad_scales_are_refused() -> None:
    with pytest.raises(UserError, match=r"unknown source 'atributes'.*Did you mean 'attributes'"):
        plan({"atributes": 2.0}, SOURCES)
    for scale in (-0.1, float("inf"), float("nan"), torch.tensor([1.0, -1.0])):
        with pytest.raises(UserError, match="out of range"):
            plan({"mask": scale}, SOURCES, 2)
    with pytest.raises(UserError, match=r"\(3,\) scales of 'mask' for 2 images"):
        plan({"mask": torch.ones(3)}, SOURCES, 2)
