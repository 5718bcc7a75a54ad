import numpy as np
import pytest

from facecond.data.augmentation import FaceAugmentation
from facecond.errors import UserError
from facecond.labels import ANYTHING, ATTRIBUTES, COLOUR_ATTRIBUTES, PALETTE, mirror_mask

OPEN = np.full(40, -1, np.int8)


def _face(size=48):
    """A mask and a picture that shows each class in one colour: they must stay together."""
    mask = np.zeros((size, size), np.uint8)
    mask[8:40, 12:36] = 1
    mask[16:22, 14:21], mask[16:22, 27:34] = 5, 4
    mask[:4] = ANYTHING
    mask[:8, 12:36] = 13
    colours = np.zeros((256, 3), np.uint8)
    colours[:19] = PALETTE
    return colours[mask], mask, colours


def test_a_flip_turns_the_picture_and_swaps_left_and_right():
    image, mask, _ = _face()
    flipped, swapped = FaceAugmentation(flip=1.0)(image, mask, OPEN, (0,))
    np.testing.assert_array_equal(flipped, image[:, ::-1])
    np.testing.assert_array_equal(swapped, mirror_mask(mask))
    # The subject's left eye is still on the right side of the picture.
    assert np.where(swapped == 4)[1].mean() > 24 > np.where(swapped == 5)[1].mean()
    again = FaceAugmentation(flip=1.0)(flipped, swapped, OPEN, (1,))
    np.testing.assert_array_equal(again[0], image)
    np.testing.assert_array_equal(again[1], mask)


def test_flips_have_their_probability_and_zero_changes_nothing():
    image, mask, _ = _face()
    augment = FaceAugmentation(flip=0.25)
    flips = sum(
        not np.array_equal(augment(image, mask, OPEN, (0, index))[0], image) for index in range(800)
    )
    assert abs(flips - 200) < 4 * np.sqrt(800 * 0.25 * 0.75)
    still = FaceAugmentation(flip=0.0)(image, mask, OPEN, (0,))
    np.testing.assert_array_equal(still[0], image)
    np.testing.assert_array_equal(still[1], mask)


def test_affine_moves_picture_and_mask_together():
    image, mask, colours = _face()
    augment = FaceAugmentation(flip=0.5, affine=0.05)
    moved = 0
    for index in range(20):
        new_image, new_mask = augment(image, mask, OPEN, (0, index))
        assert set(np.unique(new_mask)) <= set(np.unique(mask))  # no class is made up
        shown = colours[np.where(new_mask == ANYTHING, ANYTHING, new_mask)].astype(int)
        swapped = colours.copy()
        swapped[[4, 5]] = swapped[[5, 4]]
        mirrored = swapped[new_mask].astype(int)
        distance = min(np.abs(new_image - s).max(-1).mean() for s in (shown, mirrored))
        assert distance < 8  # only edges differ, by interpolation
        moved += not np.array_equal(new_mask, mask)
    assert moved == 20


def test_jitter_spares_colour_attributes():
    image, mask, _ = _face()
    augment = FaceAugmentation(flip=0.0, jitter=0.08)
    for name in COLOUR_ATTRIBUTES:
        for value in (0, 1):
            attributes = OPEN.copy()
            attributes[ATTRIBUTES.index(name)] = value
            np.testing.assert_array_equal(augment(image, mask, attributes, (0,))[0], image)
    attributes = OPEN.copy()
    attributes[ATTRIBUTES.index("Smiling")] = 1
    lit, same = augment(image, mask, attributes, (0,))
    difference = np.abs(lit.astype(int) - image).max()
    assert 0 < difference <= 255 * 0.17
    np.testing.assert_array_equal(same, mask)


def test_the_result_depends_on_the_key_alone():
    image, mask, _ = _face()
    originals = image.copy(), mask.copy()
    first, second = (FaceAugmentation(0.5, 0.05, 0.08) for _ in range(2))
    keys = [(3, "augment", epoch, index) for epoch in range(2) for index in range(5)]
    expected = [first(image, mask, OPEN, key) for key in keys]
    for key, (image_there, mask_there) in reversed(list(zip(keys, expected, strict=True))):
        got_image, got_mask = second(image, mask, OPEN, key)
        np.testing.assert_array_equal(got_image, image_there)
        np.testing.assert_array_equal(got_mask, mask_there)
    assert len({result[0].tobytes() for result in expected}) == len(keys)
    np.testing.assert_array_equal(image, originals[0])
    np.testing.assert_array_equal(mask, originals[1])
    assert first.settings == {"flip": 0.5, "affine": 0.05, "jitter": 0.08}


@pytest.mark.parametrize("wrong", [{"flip": 1.5}, {"affine": -1}, {"jitter": 9}])
def test_out_of_range(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        FaceAugmentation(**wrong)
