"""The vocabulary: its sizes, its text form, its symmetry, its colours."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from facecond import labels
from facecond.errors import UserError
from facecond.seeding import numpy_generator


def test_sizes_and_order():
    assert len(set(labels.ATTRIBUTES)) == 40
    # CelebA numbers its columns in alphabetical order.
    assert list(labels.ATTRIBUTES) == sorted(labels.ATTRIBUTES)
    assert len(set(labels.MASK_CLASSES)) == 19
    assert labels.ANYTHING not in range(len(labels.MASK_CLASSES))
    assert set(labels.ATTRIBUTES) >= labels.COLOUR_ATTRIBUTES


@pytest.mark.parametrize("order", labels.LABEL_ORDERS)
def test_label_orders_name_the_same_classes(order):
    assert sorted(labels.LABEL_ORDERS[order]) == sorted(labels.MASK_CLASSES)


def test_attribute_index():
    assert [labels.attribute_index(name) for name in labels.ATTRIBUTES] == list(range(40))
    with pytest.raises(UserError, match="Did you mean 'Eyeglasses'"):
        labels.attribute_index("Eyeglases")


def test_parse_attributes():
    values = labels.parse_attributes(" Smiling, -Eyeglasses,+Young ,")
    assert values.dtype == np.int8 and values.shape == (40,)
    told = {labels.ATTRIBUTES[i]: int(values[i]) for i in np.flatnonzero(values >= 0)}
    assert told == {"Smiling": 1, "Eyeglasses": 0, "Young": 1}
    assert (labels.parse_attributes("") == labels.UNSPECIFIED).all()


@pytest.mark.parametrize("text", ["Smiling,-Smiling", "Smiling,Smiling", "Smile!", "-"])
def test_parse_attributes_refuses(text):
    with pytest.raises(UserError):
        labels.parse_attributes(text)


def test_format_and_parse_are_inverse():
    for index in range(50):
        values = numpy_generator(0, "labels", index).integers(-1, 2, 40).astype(np.int8)
        assert np.array_equal(labels.parse_attributes(labels.format_attributes(values)), values)


def _random_mask() -> np.ndarray:
    classes = [*range(19), labels.ANYTHING]
    return numpy_generator(0, "mask").choice(classes, (3, 8, 10)).astype(np.uint8)


def test_mirroring_twice_changes_nothing():
    mask = _random_mask()
    mirrored = labels.mirror_mask(mask)
    assert mirrored.dtype == np.uint8 and not np.array_equal(mirrored, mask)
    assert np.array_equal(labels.mirror_mask(mirrored), mask)


def test_mirroring_swaps_sides():
    classes = labels.MASK_CLASSES
    for left, right in labels.MIRRORED_CLASSES:
        assert classes[left][0] == "l" and classes[right] == f"r{classes[left][1:]}"
    # Every class with a side is in the list; lips are upper and lower, not left and right.
    sided = {i for i, name in enumerate(classes) if name[:2] in ("l_", "r_") and "lip" not in name}
    assert {index for pair in labels.MIRRORED_CLASSES for index in pair} == sided
    row = np.array([[4, 0, 6, 9, 255, 12]], np.uint8)
    assert labels.mirror_mask(row).tolist() == [[12, 255, 8, 7, 0, 5]]


def test_colours_tell_classes_apart():
    colours = [*map(tuple, labels.PALETTE.astype(int)), labels.ANYTHING_COLOUR]
    assert len(colours) == 20
    distance = min(np.abs(np.subtract(a, b)).sum() for a, b in itertools.combinations(colours, 2))
    assert distance >= 24  # summed over the channels, of 765


def test_colour_mask_is_the_palette():
    mask = _random_mask()
    coloured = labels.colour_mask(mask)
    assert coloured.shape == (*mask.shape, 3) and coloured.dtype == np.uint8
    for index in range(19):
        assert (coloured[mask == index] == labels.PALETTE[index]).all()
    assert (coloured[mask == labels.ANYTHING] == labels.ANYTHING_COLOUR).all()


def test_attributes_that_exclude_each_other():
    for group in labels.EXCLUSIVE:
        assert set(group) <= set(labels.ATTRIBUTES) and len(set(group)) == len(group) > 1
    labels.check_exclusive(labels.parse_attributes("Blond_Hair,-Black_Hair,Wavy_Hair"))
    with pytest.raises(UserError, match=r"--set: Black_Hair and Blond_Hair exclude each other"):
        labels.check_exclusive(labels.parse_attributes("Blond_Hair,Black_Hair"), "--set")
    with pytest.raises(UserError, match="No_Beard and Goatee"):
        labels.check_exclusive(labels.parse_attributes("No_Beard,Goatee"))


def test_an_emphasis_is_bounded():
    values, emphasis = labels.parse_emphasis("Smiling=100,Male=0,Young")
    assert emphasis == {"Smiling": 100.0, "Male": 0.0} and (values >= 0).sum() == 3
    for number in ("100.5", "1e30", "inf", "nan", "-1", "much", ""):
        with pytest.raises(UserError, match=r"no scale of 'Smiling'.*from 0 to 100"):
            labels.parse_emphasis(f"Smiling={number}")
