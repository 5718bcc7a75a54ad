"""Blocked comparisons against the definition, one pair at a time."""

import numpy as np
import pytest

from facecond.data.pairs.compare import AttributeDistance, MaskOverlap, blocks, merged_labels
from facecond.labels import ANYTHING, MASK_CLASSES, mirror_mask


def masks_of(count: int, open_share: float) -> np.ndarray:
    """uint8 [count, 64]: a few layouts with noise, rare classes among them, and open pixels."""
    random = np.random.default_rng(3)
    layouts = np.repeat(random.integers(0, 19, (3, 16)), 4, axis=1)
    masks = layouts[random.integers(0, 3, count)].astype(np.uint8)
    noise = random.random(masks.shape) < 0.2
    masks[noise] = random.integers(0, 19, int(noise.sum()))
    masks[random.random(masks.shape) < open_share] = ANYTHING
    return masks


def slow_miou(first: np.ndarray, second: np.ndarray) -> float:
    known = (first != ANYTHING) & (second != ANYTHING)
    first, second = first[known], second[known]
    ious = [
        ((first == c) & (second == c)).sum() / ((first == c) | (second == c)).sum()
        for c in np.union1d(first, second)
    ]
    return float(np.mean(ious)) if ious else 0.0


@pytest.mark.parametrize("open_share", [0.0, 0.2])
def test_blocked_miou_equals_the_definition(open_share):
    masks = masks_of(23, open_share)
    if open_share:
        masks[5] = ANYTHING
    overlap = MaskOverlap(masks)
    found = np.full((23, 23), np.nan)
    for rows, columns in blocks(23, 10):
        found[rows, columns] = overlap.block(rows, columns)
    for i in range(23):
        for j in range(i, 23):
            assert found[i, j] == pytest.approx(slow_miou(masks[i], masks[j]), abs=1e-5)
    assert 0.1 < np.nanmean(found) < 0.8


def test_equal_masks_have_miou_one():
    masks = masks_of(4, 0.0)
    assert np.diag(MaskOverlap(masks).block(slice(0, 4), slice(0, 4))).tolist() == [1.0] * 4


def test_merged_classes_do_not_tell_left_from_right_lips_from_mouth_or_jewellery_from_wearer():
    every = np.arange(19, dtype=np.uint8)[None]
    named = [MASK_CLASSES[c] for c in merged_labels(every)[0]]
    assert named == [
        "background", "skin", "nose", "eye_g", "l_eye", "l_eye", "l_brow", "l_brow", "l_ear",
        "l_ear", "u_lip", "u_lip", "u_lip", "hair", "hat", "l_ear", "neck", "neck", "cloth",
    ]  # fmt: skip
    np.testing.assert_array_equal(merged_labels(mirror_mask(every)), merged_labels(every)[:, ::-1])
    assert merged_labels(np.array([ANYTHING], np.uint8))[0] == ANYTHING


def test_attribute_distance_counts_what_both_state():
    attributes = np.random.default_rng(0).integers(-1, 2, (9, 12)).astype(np.int8)
    differing, stated = AttributeDistance(attributes).block(slice(0, 5), slice(3, 9))
    for i, first in enumerate(attributes[:5]):
        for j, second in enumerate(attributes[3:9]):
            both = (first >= 0) & (second >= 0)
            assert stated[i, j] == both.sum()
            assert differing[i, j] == (first != second)[both].sum()


@pytest.mark.parametrize(("count", "size"), [(10, 4), (8, 4), (3, 4), (1, 4), (0, 4)])
def test_blocks_meet_every_pair_once(count, size):
    met = np.zeros((count, count), int)
    for rows, columns in blocks(count, size):
        met[rows, columns] += 1
    assert (met[np.triu_indices(count)] == 1).all()
