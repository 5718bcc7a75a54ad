"""The variation of the judges' faces keeps pictures and truths together."""

from __future__ import annotations

import numpy as np
import torch

from facecond.labels import ANYTHING, MIRRORED_CLASSES, mirror_mask
from facecond.training.judge_faces import Faces, augment, to_network


def test_a_flip_swaps_left_and_right() -> None:
    left, right = MIRRORED_CLASSES[0]
    masks = torch.zeros(64, 16, 16, dtype=torch.uint8)
    masks[:, 4:8, 2:6], masks[:, 4:8, 10:14], masks[:, 12:] = right, left, ANYTHING
    images = masks[:, None].repeat(1, 3, 1, 1)
    batch = Faces(images, masks, torch.zeros(64, 40, dtype=torch.int8))
    mixed = augment(batch, np.random.default_rng(0))
    columns = torch.arange(16).expand(16, 16)
    for mask in mixed.masks:  # flipped or not, the subject's left eye stays right in the picture
        assert columns[mask == left].float().mean() > columns[mask == right].float().mean()
    flipped = (mixed.images[:, 0] != mixed.masks).any((1, 2))
    assert 10 < int(flipped.sum()) < 54  # pixels move with the mask, their values stay
    swapped = torch.from_numpy(mirror_mask(mixed.masks.numpy()[..., ::-1]))
    assert torch.equal(
        mixed.images[:, 0], torch.where(flipped[:, None, None], swapped, mixed.masks)
    )


def test_network_range_is_one() -> None:
    ends = to_network(torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1))
    assert ends.flatten().tolist() == [-1.0, 1.0]
