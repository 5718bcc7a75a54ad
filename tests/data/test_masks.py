"""Masks to start from, edits by class name, and PNG files that come back class for class."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facecond.data.masks import (
    CLASS_NAMES,
    TEMPLATES,
    class_of,
    mask_png,
    open_classes,
    random_face,
    random_mask,
    read_mask,
    replace_classes,
    template_mask,
)
from facecond.data.rendered import render
from facecond.errors import UserError
from facecond.labels import ANYTHING, MASK_CLASSES, PALETTE


def names_in(mask: np.ndarray) -> set[str]:
    return {MASK_CLASSES[value] for value in np.unique(mask)}


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_has_a_whole_face(name: str) -> None:
    mask = template_mask(name, 64)
    assert mask.shape == (64, 64) and mask.dtype == np.uint8
    assert {"skin", "nose", "u_lip", "l_lip", "neck", "cloth"} <= names_in(mask)


def test_templates_show_what_their_names_say() -> None:
    def has(name: str, part: str) -> bool:
        return part in names_in(template_mask(name, 128))

    assert has("hat", "hat") and has("glasses", "eye_g") and has("smile", "mouth")
    assert not has("bald", "hair") and not has("frontal", "hat")
    assert has("jewellery", "ear_r") and has("jewellery", "neck_l")


@pytest.mark.parametrize("size", [32, 64, 200])
def test_masks_of_any_size(size: int) -> None:
    assert template_mask("frontal", size).shape == random_mask(3, size).shape == (size, size)


def test_a_random_mask_is_that_of_its_seed() -> None:
    assert np.array_equal(random_mask(5, 64), random_mask(5, 64))
    assert not np.array_equal(random_mask(5, 64), random_mask(6, 64))


def test_classes_are_opened_and_replaced_all_at_once() -> None:
    mask = np.array([[1, 13], [14, 255]], np.uint8)
    assert open_classes(mask, ["hair", "hat"]).tolist() == [[1, 255], [255, 255]]
    assert replace_classes(mask, {"hair": "hat", "hat": "hair"}).tolist() == [[1, 14], [13, 255]]
    assert replace_classes(mask, {"anything": "background"}).tolist() == [[1, 13], [14, 0]]
    assert mask.tolist() == [[1, 13], [14, 255]]
    assert [class_of(name) for name in CLASS_NAMES] == [*range(19), ANYTHING]


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match="Did you mean 'hair'"):
        open_classes(np.zeros((2, 2), np.uint8), ["hairs"])
    with pytest.raises(UserError, match="Did you mean 'smile'"):
        template_mask("smiel", 64)


def test_a_mask_file_comes_back_class_for_class(tmp_path: Path) -> None:
    mask = random_mask(1, 64)
    mask[:10] = ANYTHING
    content = mask_png(mask)
    (tmp_path / "m.png").write_bytes(content)
    assert np.array_equal(read_mask(tmp_path / "m.png"), mask)
    assert np.array_equal(read_mask(Path("upload"), 64, content), mask)
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.mode == "P"
        assert tuple(np.array(picture.convert("RGB"))[-1, 32]) == tuple(PALETTE[mask[-1, 32]])


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (Image.new("RGB", (64, 64)), "mode RGB"),
        (Image.new("L", (64, 32)), "64x32"),
        (Image.new("L", (64, 64), 40), "no class: 40"),
        (Image.new("L", (5000, 5000)), "up to 4096x4096"),
        (Image.new("RGB", (64, 48)), "mode RGB: a photo"),
        (Image.new("I;16", (64, 48)), "PNG of mode I;16. Save masks"),
    ],
)
def test_what_is_no_mask_is_refused(picture: Image.Image, message: str) -> None:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    with pytest.raises(UserError, match=message):
        read_mask(Path("upload"), 64, buffer.getvalue())


@pytest.mark.parametrize("size", [32, 96])
def test_a_random_face_has_the_attributes_of_its_mask(size: int) -> None:
    mask, attributes = random_face(5, size)
    drawn = render(5, 0, max(size, 64))
    assert np.array_equal(mask, random_mask(5, size))
    assert np.array_equal(attributes, drawn.attributes)
    if size >= 64:
        assert np.array_equal(mask, drawn.mask)


@pytest.mark.parametrize("shape", [(64, 48), (64, 64), (5000, 20)])
def test_a_photo_is_called_a_photo_whatever_its_shape(shape: tuple[int, int]) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", shape).save(buffer, "JPEG")
    with pytest.raises(UserError, match=r"JPEG of mode RGB: a photo .*not the classes"):
        read_mask(Path("me.jpg"), 64, buffer.getvalue())
