"""Regions of an edit: what may change, what is left open, how it ends."""

from __future__ import annotations

import numpy as np
import pytest

from facecond.data.rendered import render
from facecond.editing.regions import (
    AREAS,
    REGIONS,
    cells_of,
    grown,
    pixels_of,
    plan_edit,
    region_names,
    soft_weight,
)
from facecond.errors import UserError
from facecond.labels import ANYTHING, ATTRIBUTES, MASK_CLASSES, parse_attributes

HAIR, HAT, SKIN = (MASK_CLASSES.index(name) for name in ("hair", "hat", "skin"))


@pytest.fixture(scope="module")
def layout() -> np.ndarray:
    return render(0, 1, 64).mask


def test_every_attribute_shows_somewhere() -> None:
    assert set(AREAS) == set(ATTRIBUTES)
    for area in AREAS.values():
        assert set(area.regions) | set(area.over) <= set(REGIONS)
        assert 0 <= area.reach < 0.3
    assert set(REGIONS) >= set(MASK_CLASSES)


def test_names_of_regions() -> None:
    assert region_names("hair, ears") == ("hair", "ears")
    assert region_names(["eyes"]) == ("eyes",)
    with pytest.raises(UserError, match=r"unknown region 'hare'.*Did you mean 'hair'"):
        region_names("hare")
    with pytest.raises(UserError, match="no region is named"):
        region_names(" , ")


def test_a_colour_of_hair_changes_hair_alone_and_keeps_the_layout(layout: np.ndarray) -> None:
    plan = plan_edit(layout, parse_attributes("Blond_Hair"))
    np.testing.assert_array_equal(plan.changed, layout == HAIR)
    np.testing.assert_array_equal(plan.layout, layout)


def test_an_attribute_of_shape_opens_the_layout_where_it_shows(layout: np.ndarray) -> None:
    plan = plan_edit(layout, parse_attributes("Smiling"))
    np.testing.assert_array_equal(plan.layout == ANYTHING, plan.changed)
    lips = pixels_of(layout, ["mouth"])
    assert plan.changed[lips].all() and plan.changed.sum() > lips.sum()
    assert not (plan.changed & ~pixels_of(layout, ["face"])).any()  # no hair, no background
    both = plan_edit(layout, parse_attributes("Smiling,Blond_Hair"))
    np.testing.assert_array_equal(both.changed, plan.changed | (layout == HAIR))
    assert not (both.layout[layout == HAIR] == ANYTHING).any()


def test_a_region_keeps_all_changes_in_it(layout: np.ndarray) -> None:
    plan = plan_edit(layout, parse_attributes("Blond_Hair,Smiling"), region=("mouth",))
    lips = pixels_of(layout, ["mouth"])
    np.testing.assert_array_equal(plan.changed, lips)
    np.testing.assert_array_equal(plan.layout == ANYTHING, lips)


def test_a_new_layout_changes_what_differs(layout: np.ndarray) -> None:
    wanted = layout.copy()
    wanted[:10] = HAT
    nothing = parse_attributes("")
    plan = plan_edit(layout, nothing, wanted)
    np.testing.assert_array_equal(plan.changed, layout != wanted)
    np.testing.assert_array_equal(plan.layout, wanted)
    # In a region: the part of it that differs; outside, the layout is the photo's own.
    wanted[-5:] = SKIN
    plan = plan_edit(layout, nothing, wanted, ("hat",))
    assert plan.changed[:10].any() and not plan.changed[-5:].any()
    np.testing.assert_array_equal(plan.layout[-5:], layout[-5:])
    # What is painted is not opened by an attribute that shows there.
    plan = plan_edit(layout, parse_attributes("Wearing_Hat"), wanted)
    assert (plan.layout[:10] == HAT)[layout[:10] != HAT].all()


def test_nothing_to_change_is_said(layout: np.ndarray) -> None:
    bald = np.where(layout == HAIR, 0, layout)
    bald = np.where(bald == HAT, 0, bald).astype(np.uint8)
    with pytest.raises(UserError, match=r"no place for Blond_Hair.*are: background, skin"):
        plan_edit(bald, parse_attributes("Blond_Hair"))
    with pytest.raises(UserError, match=r"the face has no hat or hair"):
        plan_edit(bald, parse_attributes("Blond_Hair"), region=("hat", "hair"))
    with pytest.raises(UserError, match="layouts are equal"):
        plan_edit(layout, parse_attributes(""), layout.copy())


def test_the_edge_is_soft_and_ends() -> None:
    changed = np.zeros((40, 40), bool)
    changed[:, :20] = True
    weight = soft_weight(changed, 0.1)  # 4 pixels
    row = weight[7]
    assert (row[:20] == 1).all() and (row[23:] == 0).all()
    assert 0 < row[22] < row[21] < row[20] < 1
    assert (soft_weight(np.zeros((8, 8), bool)) == 0).all()
    assert grown(changed, 0.1)[0].sum() == 24


def test_a_cell_changes_where_any_pixel_does() -> None:
    weight = np.zeros((16, 16), np.float32)
    weight[4, 7] = 0.1
    cells = cells_of(weight, 4)
    assert cells.sum() == 1 and cells[1, 1]
    assert cells_of(weight, 16).sum() == 1
