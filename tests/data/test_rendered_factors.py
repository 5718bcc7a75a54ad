"""Geometry and appearance of rendered faces: each comes whole from its own face."""

from dataclasses import fields, replace
from functools import cache

import numpy as np
import pytest

from facecond.data.rendered import (
    APPEARANCE_ATTRIBUTES,
    CLAIMED,
    GEOMETRY_ATTRIBUTES,
    RenderedFace,
    render,
)
from facecond.data.rendered.attributes import HAIR_COLOURS, apply_overrides
from facecond.data.rendered.factors import APPEARANCE_PARAMETERS, GEOMETRY_PARAMETERS
from facecond.data.rendered.parameters import FaceParameters, draw_face
from facecond.data.rendered.scene import compose
from facecond.labels import UNSPECIFIED, attribute_index

COUNT = 100
GEOMETRY = [attribute_index(name) for name in GEOMETRY_ATTRIBUTES]


@cache
def plain(index: int, correlated: bool = True) -> RenderedFace:
    return render(11, index, 64, correlated=correlated)


@cache
def mixed(index: int, correlated: bool = True) -> tuple[RenderedFace, int]:
    """Geometry `index` with the appearance of another face, and which."""
    other = (37 * index + 11) % COUNT
    return render(11, index, 64, correlated=correlated, appearance=other), other


def value(face: RenderedFace, name: str) -> int:
    return int(face.attributes[attribute_index(name)])


def test_the_two_factors_share_out_every_attribute_and_parameter():
    assert set(APPEARANCE_ATTRIBUTES) | set(GEOMETRY_ATTRIBUTES) == set(CLAIMED)
    assert not set(APPEARANCE_ATTRIBUTES) & set(GEOMETRY_ATTRIBUTES)
    every = {field.name for field in fields(FaceParameters)}
    assert set(APPEARANCE_PARAMETERS) | set(GEOMETRY_PARAMETERS) == every
    assert set(APPEARANCE_PARAMETERS) <= every


@pytest.mark.parametrize("correlated", [True, False])
def test_mask_and_geometry_attributes_are_those_of_the_geometry(correlated):
    seen: dict[str, int] = {}
    for index in range(COUNT):
        face, _ = mixed(index, correlated)
        own = plain(index, correlated)
        np.testing.assert_array_equal(face.mask, own.mask)
        np.testing.assert_array_equal(face.attributes[GEOMETRY], own.attributes[GEOMETRY])
        for name in ("Wearing_Hat", "Bald", "Eyeglasses"):
            seen[name] = seen.get(name, 0) + (value(face, name) == 1)
        seen["beard"] = seen.get("beard", 0) + (value(face, "No_Beard") == 0)
    assert min(seen.values()) >= 5, seen  # the hard cases were among them


@pytest.mark.parametrize("correlated", [True, False])
def test_visible_appearance_is_that_of_the_appearance_face(correlated):
    known = {
        index: apply_overrides(draw_face(11, index, correlated)[1], {}) for index in range(COUNT)
    }
    for index in range(COUNT):
        face, other = mixed(index, correlated)
        bald = known[index]["Bald"]
        for name in APPEARANCE_ATTRIBUTES:
            expected = int(known[other].get(name, False))
            if name == "No_Beard":
                expected = int(not (known[other]["Beard"] or known[other]["Goatee"]))
            if bald and name in HAIR_COLOURS:
                expected = 0
            assert value(face, name) == expected, (index, other, name)
            assert value(face, name) != UNSPECIFIED


def test_the_backdrop_is_that_of_the_appearance():
    checked = 0
    for index in range(20):
        face, other = mixed(index)
        assert (face.image != plain(index).image).any()
        region = (face.mask == 0) & (plain(other).mask == 0)
        if region.any() and value(face, "Blurry") == 0:
            off = np.abs(face.image[region].astype(int) - plain(other).image[region])
            assert np.median(off) == 0  # but for borders, which blend with the sitter
            checked += 1
    assert checked > 10


def test_a_face_with_its_own_appearance_is_itself():
    for index in range(5):
        face = render(11, index, 64, appearance=index)
        np.testing.assert_array_equal(face.image, plain(index).image)
        np.testing.assert_array_equal(face.attributes, plain(index).attributes)


@pytest.mark.parametrize("name", [*APPEARANCE_PARAMETERS, *GEOMETRY_PARAMETERS])
def test_a_parameter_moves_the_mask_exactly_when_it_is_geometry(name):
    moved = 0
    for index in range(24):
        if moved and name in GEOMETRY_PARAMETERS:
            break
        p, drawn = draw_face(2, index, False)
        has = apply_overrides(drawn, {})
        low, high = (compose(128, replace(p, **{name: v}), has) for v in (0.02, 0.97))
        moved += int((low.mask != high.mask).any())
    assert bool(moved) == (name in GEOMETRY_PARAMETERS)


def test_overrides_are_set_last():
    face = render(11, 0, 64, appearance=7, overrides={"Gray_Hair": True, "Wearing_Lipstick": True})
    assert value(face, "Gray_Hair") == 1 and value(face, "Wearing_Lipstick") == 1
