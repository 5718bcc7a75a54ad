"""Rendered faces: determinism, truth of the mask and the attributes, same face at every size."""

from functools import lru_cache

import numpy as np
import pytest

from facecond.data.rendered import CLAIMED, UNCLAIMED, RenderedFace, render
from facecond.errors import UserError
from facecond.labels import ATTRIBUTES, MASK_CLASSES, attribute_index

COUNT = 200


@lru_cache(maxsize=2)
def faces(correlated: bool = True) -> list[RenderedFace]:
    return [render(5, index, 64, correlated=correlated) for index in range(COUNT)]


def value(face: RenderedFace, name: str) -> int:
    return int(face.attributes[attribute_index(name)])


def has_class(face: RenderedFace, name: str) -> bool:
    return bool((face.mask == MASK_CLASSES.index(name)).any())


def area(face: RenderedFace, name: str) -> int:
    return int((face.mask == MASK_CLASSES.index(name)).sum())


def test_every_attribute_is_either_claimed_or_excused():
    assert len(CLAIMED) >= 32
    assert set(CLAIMED) | set(UNCLAIMED) == set(ATTRIBUTES)
    assert not set(CLAIMED) & set(UNCLAIMED)


@pytest.mark.parametrize("size", [64, 96, 128, 200, 256])
def test_shapes_and_types(size):
    face = render(0, 1, size)
    assert face.image.shape == (size, size, 3) and face.image.dtype == np.uint8
    assert face.mask.shape == (size, size) and face.mask.dtype == np.uint8
    assert face.attributes.shape == (40,) and face.attributes.dtype == np.int8
    assert face.mask.max() < len(MASK_CLASSES)
    assert face.image.flags["C_CONTIGUOUS"]


def test_the_same_key_is_the_same_face_and_another_key_another():
    first, again = render(3, 7, 64), render(3, 7, 64)
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.mask, again.mask)
    np.testing.assert_array_equal(first.attributes, again.attributes)
    for other in (render(3, 8, 64), render(4, 7, 64)):
        assert np.abs(first.image.astype(int) - other.image).mean() > 5


@pytest.mark.parametrize("index", range(6))
def test_the_face_is_the_same_at_another_size(index):
    small, large = render(9, index, 64), render(9, index, 128)
    np.testing.assert_array_equal(small.attributes, large.attributes)
    votes = np.stack([(large.mask == c).reshape(64, 2, 64, 2).sum((1, 3)) for c in range(19)])
    assert (votes.argmax(0) == small.mask).mean() > 0.96
    overlaps = []
    for label in np.unique(small.mask):
        both = (small.mask == label) & (votes[label] >= 2)
        overlaps.append(both.sum() / ((small.mask == label) | (votes[label] >= 2)).sum())
    assert np.mean(overlaps) > 0.8
    shrunk = large.image.reshape(64, 2, 64, 2, 3).mean((1, 3))
    assert np.abs(shrunk - small.image).mean() < 5


def test_all_classes_occur_and_are_large_enough_to_learn():
    for label in MASK_CLASSES:
        areas = [area(face, label) for face in faces() if has_class(face, label)]
        assert len(areas) >= 0.1 * COUNT, label
        assert np.median(areas) >= 10, (label, np.median(areas))


def test_left_is_the_subjects_left():
    column = np.arange(64)[None].repeat(64, 0)
    seen = 0
    for face in faces():
        for part in ("eye", "brow", "ear"):
            left, right = (face.mask == MASK_CLASSES.index(f"{s}_{part}") for s in "lr")
            if left.any() and right.any():
                seen += 1
                assert column[left].mean() > column[right].mean()
    assert seen > 2 * COUNT


@pytest.mark.parametrize("correlated", [True, False])
def test_attributes_are_true_of_the_mask(correlated):
    for face in faces(correlated):
        for name, label in (
            ("Wearing_Hat", "hat"),
            ("Eyeglasses", "eye_g"),
            ("Wearing_Earrings", "ear_r"),
            ("Wearing_Necklace", "neck_l"),
            ("Mouth_Slightly_Open", "mouth"),
        ):
            assert value(face, name) == has_class(face, label), name
        if value(face, "Bald") == 1:
            assert not has_class(face, "hair")
        elif value(face, "Bald") == 0:
            assert has_class(face, "hair")
        else:
            assert has_class(face, "hat") and not has_class(face, "hair")


@pytest.mark.parametrize("correlated", [True, False])
def test_attributes_do_not_contradict_each_other(correlated):
    colours = ("Black_Hair", "Brown_Hair", "Blond_Hair", "Gray_Hair")
    hair = (*colours, "Straight_Hair", "Wavy_Hair", "Bangs", "Receding_Hairline", "Sideburns")
    for face in faces(correlated):
        assert sum(value(face, name) == 1 for name in colours) <= 1
        for first, second in (
            ("Straight_Hair", "Wavy_Hair"),
            ("Bangs", "Receding_Hairline"),
            ("No_Beard", "Goatee"),
            ("Oval_Face", "Chubby"),
        ):
            assert not (value(face, first) == 1 and value(face, second) == 1)
        if value(face, "Bald") == 1:
            assert all(value(face, name) == 0 for name in hair)


@pytest.mark.parametrize("correlated", [True, False])
def test_unspecified_is_what_cannot_be_drawn_or_what_a_hat_hides(correlated):
    under_hat = {"Bald", "Bangs", "Receding_Hairline", "Straight_Hair", "Wavy_Hair"}
    for face in faces(correlated):
        unspecified = {n for n, v in zip(ATTRIBUTES, face.attributes, strict=True) if v == -1}
        assert set(UNCLAIMED) <= unspecified
        hidden = unspecified - set(UNCLAIMED)
        if value(face, "Wearing_Hat") == 1:
            assert {"Bangs", "Receding_Hairline"} <= hidden <= under_hat
        else:
            assert not hidden


def rates(correlated: bool) -> dict[str, float]:
    values = np.stack([face.attributes for face in faces(correlated)])
    known = np.where(values >= 0, values, 0).sum(0) / np.maximum((values >= 0).sum(0), 1)
    return dict(zip(ATTRIBUTES, known.tolist(), strict=True))


@pytest.mark.parametrize("correlated", [True, False])
def test_no_claimed_attribute_is_too_rare_or_too_common(correlated):
    found = rates(correlated)
    for name in CLAIMED:
        assert 0.04 < found[name] < 0.85, (name, found[name])


@pytest.mark.parametrize(
    "name, sign", [("Wearing_Lipstick", -1), ("Sideburns", 1), ("Heavy_Makeup", -1)]
)
def test_correlations_are_natural_or_absent_by_option(name, sign):
    def difference(correlated: bool) -> float:
        chosen = faces(correlated)
        rate = [
            np.mean([value(f, name) for f in chosen if value(f, "Male") == male]) for male in (0, 1)
        ]
        return float(rate[1] - rate[0])

    assert sign * difference(True) > 0.2
    assert abs(difference(False)) < 0.2


def test_women_have_no_beard_only_when_correlated():
    def bearded_women(correlated: bool) -> int:
        return sum(value(f, "Male") == 0 and value(f, "No_Beard") == 0 for f in faces(correlated))

    assert bearded_women(True) == 0
    assert bearded_women(False) > 10


def test_blurry_is_a_loss_of_detail():
    def detail(face: RenderedFace) -> float:
        return float(np.abs(np.diff(face.image.astype(float), axis=1)).mean())

    for index in range(5):
        sharp = render(2, index, 64, overrides={"Blurry": False})
        assert detail(render(2, index, 64, overrides={"Blurry": True})) < 0.8 * detail(sharp)


@pytest.mark.parametrize(
    "overrides, message",
    [
        ({"Bald": True, "Black_Hair": True}, "contradict"),
        ({"No_Beard": True, "Goatee": True}, "contradict"),
        ({"Straight_Hair": True, "Wavy_Hair": True}, "contradict"),
        ({"Bangs": True, "Wearing_Hat": True}, "contradict"),
        ({"Attractive": True}, "cannot be drawn"),
        ({"Smilling": True}, "unknown attribute"),
    ],
)
def test_impossible_wishes_are_refused(overrides, message):
    with pytest.raises(UserError, match=message):
        render(0, 0, 64, overrides=overrides)


@pytest.mark.parametrize("size", [63, 0, -64, 5000])
def test_sizes_out_of_range_are_refused(size):
    with pytest.raises(UserError, match="out of range"):
        render(0, 0, size)
