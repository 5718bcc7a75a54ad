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
    judge_attributes,
    overlay,
    parse_face,
)
from facecond.labels import ANYTHING, ATTRIBUTES, PALETTE, UNSPECIFIED, colour_mask
from facecond.metrics.attribute_calibration import calibrate
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


class Fixed(torch.nn.Module):
    """A classifier of fixed logits."""

    device = torch.device("cpu")

    def __init__(self, logits: dict[str, float]) -> None:
        super().__init__()
        self.config = {"image_size": 32, "attributes": list(logits), "thresholds": [0.0] * 40}
        self.logits = torch.zeros(1, 40)
        for name, value in logits.items():
            self.logits[0, ATTRIBUTES.index(name)] = value

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        assert images.shape == (1, 3, 32, 32)
        return self.logits


def test_attributes_that_are_read_well_and_surely() -> None:
    present = np.arange(200) % 2 == 0
    told = calibrate(np.where(present, 3.0, -3.0), present).as_json()
    scores = {
        "per_attribute": {"Male": 0.98, "Young": 0.97, "Smiling": 0.99, "Bald": 0.51},
        "calibration": dict.fromkeys(("Male", "Young", "Smiling", "Bald"), told),
    }
    network = Fixed({"Male": 3.0, "Young": -3.0, "Smiling": 0.01, "Bald": 3.0})
    judge = Judge(network, Path("judge"), scores)
    values = judge_attributes(np.zeros((64, 64, 3), np.uint8), judge)
    known = {ATTRIBUTES[i]: int(values[i]) for i in np.flatnonzero(values != UNSPECIFIED)}
    assert known == {"Male": 1, "Young": 0}  # Smiling is not sure, Bald is not read well
    with pytest.raises(UserError, match=r"judge: no scores\.json"):
        judge_attributes(np.zeros((64, 64, 3), np.uint8), Judge(network, Path("judge"), {}))
    damaged = {"per_attribute": {"Male": 0.98}, "calibration": {"Male": {"slope": 1}}}
    with pytest.raises(UserError, match="'calibration' is damaged"):
        judge_attributes(np.zeros((64, 64, 3), np.uint8), Judge(network, Path("judge"), damaged))
