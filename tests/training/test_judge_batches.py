"""The variation of the judges' faces keeps pictures and truths together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from facecond.data.augmentation import FaceAugmentation
from facecond.data.prepared import PreparedFolder
from facecond.labels import ANYTHING, MIRRORED_CLASSES, mirror_mask
from facecond.training.judge_batches import JudgeBatches, augment
from facecond.training.judge_faces import Faces, read_faces


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


def test_an_epoch_shows_every_face_once(rendered_root: Path) -> None:
    source = read_faces(PreparedFolder.open(rendered_root), "parser", progress=False)
    batches = JudgeBatches(source, "parser", steps=2 * len(source), batch_size=1, seed=3)
    order = np.concatenate(batches.rows)
    for epoch in (order[: len(source)], order[len(source) :]):
        assert sorted(epoch) == list(range(len(source)))
    assert (order[: len(source)] != order[len(source) :]).any()


def test_a_step_is_varied_alike_whoever_asks_and_when(rendered_root: Path) -> None:
    source = read_faces(PreparedFolder.open(rendered_root), "parser", progress=False)
    strong = FaceAugmentation(0.5, affine=0.2, jitter=0.2)
    first = JudgeBatches(source, "parser", 4, 5, seed=1, augmentation=strong)
    second = JudgeBatches(source, "parser", 4, 5, seed=1, augmentation=strong)
    for step in (2, 0, 3):
        one, two = first[step], second[step]
        assert torch.equal(one.images, two.images) and torch.equal(one.masks, two.masks)
        plain = source[first.rows[step]]
        assert not torch.equal(one.images, plain.images)
        assert torch.equal(one.attributes, plain.attributes)
    other = JudgeBatches(source, "parser", 4, 5, seed=2, augmentation=strong)
    assert not torch.equal(other[0].images, first[0].images)


def test_colours_change_for_the_parser_alone(rendered_root: Path) -> None:
    """A classifier that is told 'black hair' must see black hair."""
    folder = PreparedFolder.open(rendered_root)
    light = FaceAugmentation(0.0, jitter=0.3)
    changed = {}
    for kind in ("parser", "attributes"):
        source = read_faces(folder, kind, progress=False)  # type: ignore[arg-type]
        batches = JudgeBatches(source, kind, 1, 8, 0, light)  # type: ignore[arg-type]
        changed[kind] = not torch.equal(batches[0].images, source[batches.rows[0]].images)
    assert changed == {"parser": True, "attributes": False}
