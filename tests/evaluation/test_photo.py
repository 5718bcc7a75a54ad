"""From a photo to a mask: which face, which crop, which file."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from facecond.data.alignment import Landmarks
from facecond.data.face_finder import FoundFace
from facecond.data.masks import palette_picture
from facecond.data.pictures import square_mask
from facecond.errors import UserError
from facecond.evaluation.judges import Judge
from facecond.evaluation.photo import (
    ParsedFace,
    align,
    central_square,
    choose_face,
    overlay,
    parse_face,
)
from facecond.labels import ANYTHING, PALETTE, colour_mask
from facecond.models.judges import FaceParser
from facecond.seeding import key_of


def found(side: float, x: float = 0.0) -> FoundFace:
    points = np.array([(-10, 0), (10, 0), (-7, 20), (7, 20)], float) * side / 40 + (x, 50)
    return FoundFace((x, 0, side, side), Landmarks(*points), 0.9)


def test_the_face_that_is_meant() -> None:
    faces = [found(90), found(60), found(30)]
    assert choose_face(faces, "largest", "a.jpg") is faces[0]
    assert choose_face(faces, "2", "a.jpg") is faces[2]
    with pytest.raises(UserError, match=r"a\.jpg: there is no face 3; 3 found.*--face"):
        choose_face(faces, "3", "a.jpg")
    with pytest.raises(UserError, match=r"a\.jpg: no face found.*--aligned-already"):
        choose_face([], "largest", "a.jpg")


def test_the_aligned_crop_shows_the_face_in_its_place() -> None:
    face = found(40, x=100)
    photo = np.zeros((200, 220, 3), np.uint8)
    for point in face.landmarks.points:
        x, y = (int(v) for v in point)
        photo[y - 1 : y + 1, x - 1 : x + 1] = 255
    crop = align(photo, face, 80)  # of a square of 80 pixels
    bright = np.argwhere(crop[..., 0] > 128)[:, ::-1] + 0.5
    # Eyes at half an eye distance of 20 from the middle, 2 above it; the mouth 18 below it.
    for expected in ((30, 38), (50, 38), (33, 58), (47, 58)):
        assert np.abs(bright - expected).max(1).min() <= 1


def test_a_crop_that_is_aligned_is_taken_from_its_middle() -> None:
    photo = np.zeros((40, 60, 3), np.uint8)
    photo[:, 10:50] = 200
    assert (central_square(photo, 16) == 200).all()
    photo = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    np.testing.assert_array_equal(central_square(photo, 16), photo)


@pytest.fixture(scope="module")
def parser() -> Judge:
    with torch.random.fork_rng():
        torch.manual_seed(key_of("photo") >> 1)
        return Judge(FaceParser(width=8, image_size=32).eval(), Path("parser"))


def test_the_mask_is_what_the_parser_says(parser: Judge) -> None:
    aligned = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    face = parse_face(aligned, parser)
    images = torch.from_numpy(aligned).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.no_grad():
        chances = parser.model(images).softmax(1)
    np.testing.assert_array_equal(face.mask, chances.argmax(1)[0].numpy())
    assert face.confidence == pytest.approx(float(chances.amax(1).mean()), abs=1e-5)
    assert face.mask.dtype == np.uint8
    assert parse_face(aligned.repeat(2, 0).repeat(2, 1), parser).mask.shape == (64, 64)


def test_palette_files_keep_the_ids_and_show_the_colours(tmp_path: Path) -> None:
    mask = np.arange(19, dtype=np.uint8).repeat(19).reshape(19, 19)
    mask[0, 0] = ANYTHING
    file = io.BytesIO()
    palette_picture(mask).save(file, "PNG")
    (tmp_path / "mask.png").write_bytes(file.getvalue())
    with Image.open(tmp_path / "mask.png") as picture:
        assert picture.mode == "P"
        np.testing.assert_array_equal(np.array(picture), mask)
        np.testing.assert_array_equal(np.array(picture.convert("RGB")), colour_mask(mask))
    # `sample --mask` reads it.
    read = square_mask(tmp_path / "mask.png", 19, "celebamask", (19, 19))
    np.testing.assert_array_equal(read, mask)


def test_the_overlay_is_half_face_half_classes() -> None:
    face = ParsedFace(np.full((4, 4, 3), 100, np.uint8), np.full((4, 4), 13, np.uint8), 0.5)
    np.testing.assert_array_equal(overlay(face)[2, 2], (50 + PALETTE[13] / 2).round())
