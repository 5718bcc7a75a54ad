"""The showcase on a pipeline whose pictures hold what it was asked for, so that it can be read."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest

from facecond.data.prepared import PreparedFolder
from facecond.data.writing import PreparedWriter
from facecond.evaluation.conditions import HAIR, OPENED
from facecond.evaluation.report import render_report
from facecond.evaluation.report_parts import Report, describe
from facecond.evaluation.showcase import (
    TOGGLED,
    Sampler,
    bare_headed,
    partial_masks,
    shared_attributes,
    toggles,
)
from facecond.labels import ANYTHING, ATTRIBUTES, MASK_CLASSES, exclusive_with

SIZE = 16
HAT, GLASSES, BALD, FIRST_BARE, SECOND_BARE = range(5)
"""Rows of the folder, by what their masks show."""


class Asked(NamedTuple):
    """What the pipeline was asked for, read from one of its pictures."""

    mask: np.ndarray
    attributes: np.ndarray
    seed: int
    scale: int


class Recording:
    """Pictures that hold what was asked for: mask; attributes + 1 and scale; seed."""

    def __call__(
        self,
        attributes: np.ndarray,
        mask: np.ndarray,
        seeds: Sequence[int],
        guidance: dict[str, float],
    ) -> SimpleNamespace:
        images = np.zeros((len(seeds), SIZE, SIZE, 3), np.uint8)
        images[..., 0] = mask
        for image, values, seed in zip(images, attributes, seeds, strict=True):
            flat = np.zeros(SIZE * SIZE, np.uint8)
            flat[:40], flat[40] = values + 1, guidance["mask"]
            image[..., 1] = flat.reshape(SIZE, SIZE)
            image[0, :4, 2] = np.frombuffer(seed.to_bytes(4, "little"), np.uint8)
        return SimpleNamespace(images=images)


def read(image: np.ndarray) -> Asked:
    told = image[..., 1].ravel()
    seed = int.from_bytes(image[0, :4, 2].tobytes(), "little")
    return Asked(image[..., 0], told[:40].astype(np.int8) - 1, seed, int(told[40]))


def class_ids(names: Sequence[str]) -> list[int]:
    return [MASK_CLASSES.index(name) for name in names]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> PreparedFolder:
    """Five masks of all classes, without those that the name of the row excludes."""
    root = tmp_path_factory.mktemp("showcase") / "faces"
    generator = np.random.default_rng(0)
    hidden = {HAT: (), GLASSES: ("hat",), BALD: ("hat", "eye_g", "hair")}
    with PreparedWriter(root, SIZE, "rendered") as writer:
        for row in range(5):
            mask = np.full((SIZE, SIZE), MASK_CLASSES.index("skin"), np.uint8)
            mask[:5] = MASK_CLASSES.index("skin" if row == BALD else "hair")
            mask[8:12] = generator.integers(0, len(MASK_CLASSES), (4, SIZE))
            mask[8, : len(MASK_CLASSES) - 3] = np.arange(3, len(MASK_CLASSES))
            mask[np.isin(mask, class_ids(hidden.get(row, ("hat", "eye_g"))))] = 1
            attributes = generator.integers(-1, 2, 40).astype(np.int8)
            writer.add(f"{row}", np.zeros((SIZE, SIZE, 3), np.uint8), mask, attributes, "test")
    return PreparedFolder.open(root)


@pytest.fixture
def sample() -> Sampler:
    return Sampler(Recording(), seed=3, settings={"guidance": {"mask": 2}})


def test_sampler_keys_seeds_and_passes_the_settings_on(folder: PreparedFolder) -> None:
    masks, attributes = np.stack([folder.mask(0)] * 3), folder.attributes[[0, 0, 0]]
    settings = {"guidance": {"mask": 5}}
    asked = [
        [read(image) for image in Sampler(Recording(), seed, settings)(attributes, masks, numbers)]
        for seed, numbers in ((0, [0, 1, 0]), (0, [1, 0, 1]), (1, [0, 1, 0]))
    ]
    first, swapped, other = ([face.seed for face in faces] for faces in asked)
    assert first[0] == first[2] == swapped[1] and first[1] == swapped[0]
    assert len({first[0], first[1], other[0], other[1]}) == 4
    assert {face.scale for faces in asked for face in faces} == {5}


def test_toggles_change_one_attribute_and_nothing_else(
    sample: Sampler, folder: PreparedFolder
) -> None:
    shown = toggles(sample, folder, FIRST_BARE, ATTRIBUTES)
    assert list(shown.names) == list(TOGGLED[:6])
    assert np.array_equal(shown.mask, folder.mask(FIRST_BARE))
    base, seeds = folder.attributes[FIRST_BARE], set()
    for name, off, on in zip(shown.names, map(read, shown.off), map(read, shown.on), strict=True):
        column = ATTRIBUTES.index(name)
        assert np.flatnonzero(off.attributes != on.attributes).tolist() == [column], name
        assert (off.attributes[column], on.attributes[column]) == (0, 1)
        opened = exclusive_with(name)
        assert (on.attributes[opened] == -1).all()
        kept = np.setdiff1d(np.arange(40), [column, *opened])
        assert np.array_equal(on.attributes[kept], base[kept]), name
        for face in (off, on):
            assert np.array_equal(face.mask, shown.mask)
            seeds.add(face.seed)
    assert len(seeds) == 1
    assert any(name in HAIR for name in shown.names)
    assert any(name not in HAIR for name in shown.names)


def test_toggles_take_only_attributes_that_are_judged(
    sample: Sampler, folder: PreparedFolder
) -> None:
    shown = toggles(sample, folder, FIRST_BARE, ["Young", "Male", "Rosy_Cheeks"])
    assert list(shown.names) == ["Rosy_Cheeks", "Young"]
    assert len(shown.off) == len(shown.on) == 2


def test_nothing_is_drawn_where_no_attribute_of_appearance_is_judged(
    folder: PreparedFolder,
) -> None:
    def never(**_: object) -> None:
        raise AssertionError("no picture is needed")

    sample = Sampler(never, seed=0, settings={})
    shown = toggles(sample, folder, FIRST_BARE, ["Male", "Smiling"])
    assert list(shown.names) == [] and shown.off.shape == shown.on.shape == (0, SIZE, SIZE, 3)
    assert shared_attributes(sample, folder, np.array([HAT]), ["Male", "Smiling"]) is None
    report = Report("", "", [], toggles=shown, shared=None)
    assert "attribute" not in render_report(report)


def test_shared_attributes_are_the_same_over_all_masks(
    sample: Sampler, folder: PreparedFolder
) -> None:
    rows = np.array([SECOND_BARE, HAT, BALD])
    shown = shared_attributes(sample, folder, rows, ["Blond_Hair", "Rosy_Cheeks"])
    assert shown is not None
    faces = [read(image) for image in shown.samples]
    for row, mask, face in zip(rows, shown.masks, faces, strict=True):
        assert np.array_equal(mask, folder.mask(int(row)))
        assert np.array_equal(face.mask, mask)
    first = faces[0].attributes
    assert all(np.array_equal(face.attributes, first) for face in faces)
    assert {ATTRIBUTES[i] for i in np.flatnonzero(first == 1)} == {"Blond_Hair", "Rosy_Cheeks"}
    assert (first == 0).sum() == 0  # Wearing_Lipstick is not judged here: it stays open
    assert shown.attributes == describe(first)
    assert len({face.seed for face in faces}) == 1


def test_partial_masks_open_the_named_classes_and_the_left_half(
    sample: Sampler, folder: PreparedFolder
) -> None:
    whole = folder.mask(HAT)  # the row that shows every class
    shown = partial_masks(sample, folder, HAT, count=3)
    assert shown.masks.shape == (len(OPENED) + 1, SIZE, SIZE)
    for names, mask in zip(OPENED, shown.masks, strict=False):
        opened = np.isin(whole, class_ids(names))
        assert opened.any() and not opened.all()
        assert np.array_equal(mask, np.where(opened, ANYTHING, whole))
    half = shown.masks[-1]
    assert (half[:, : SIZE // 2] == ANYTHING).all()
    assert np.array_equal(half[:, SIZE // 2 :], whole[:, SIZE // 2 :])


def test_partial_masks_are_sampled_with_several_seeds_and_open_attributes(
    sample: Sampler, folder: PreparedFolder
) -> None:
    shown = partial_masks(sample, folder, HAT, count=3)
    seeds = []
    for mask, images in zip(shown.masks, shown.samples, strict=True):
        faces = [read(image) for image in images]
        assert all(np.array_equal(face.mask, mask) for face in faces)
        assert all((face.attributes == -1).all() for face in faces)
        seeds.append([face.seed for face in faces])
    assert len(set(seeds[0])) == 3
    assert all(row == seeds[0] for row in seeds)


def test_bare_headed_passes_over_hats_glasses_and_bald_heads(folder: PreparedFolder) -> None:
    assert bare_headed(folder, np.arange(5)) == FIRST_BARE
    assert bare_headed(folder, np.array([GLASSES, SECOND_BARE, FIRST_BARE])) == SECOND_BARE


def test_bare_headed_takes_the_first_where_no_row_will_do(folder: PreparedFolder) -> None:
    assert bare_headed(folder, np.array([BALD, HAT, GLASSES])) == BALD
