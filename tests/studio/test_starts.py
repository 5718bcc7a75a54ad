"""Masks to start from: of the model's size, from every place, and files that are refused."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from facecond.data.masks import TEMPLATES, mask_png, random_mask, template_mask
from facecond.data.pictures import resize_mask
from facecond.data.rendered import render
from facecond.errors import UserError
from facecond.evaluation.judges import open_parser
from facecond.evaluation.photo import central_square, parse_face
from facecond.models.judges import FaceParser
from facecond.studio import limits
from facecond.studio.codec import file_text, mask_from_text
from facecond.studio.photo_reader import PhotoReader
from facecond.studio.starts import Starts

SIZE = 64


@pytest.fixture(scope="module")
def parser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("starts") / "parser"
    FaceParser(width=8, image_size=32).save_pretrained(path)
    return path


def picture(image: Image.Image, kind: str = "PNG") -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return file_text(buffer.getvalue())


def made(start: Starts, **wish: Any) -> np.ndarray:
    return mask_from_text(start.make(wish)["mask"], start.size)


def test_templates_and_random_masks() -> None:
    start = Starts(SIZE)
    assert np.array_equal(made(start, kind="template", name="hat"), template_mask("hat", SIZE))
    assert np.array_equal(made(start, kind="random", seed=5), random_mask(5, SIZE))
    assert [one["name"] for one in start.thumbnails()] == list(TEMPLATES)


def test_a_mask_file_is_brought_to_size() -> None:
    mask = template_mask("smile", 128)
    read = made(Starts(SIZE), kind="mask", name="m.png", content=file_text(mask_png(mask)))
    assert np.array_equal(read, resize_mask(mask, SIZE))


def test_a_photo_is_parsed(parser: Path) -> None:
    face = render(0, 0, 96).image
    content = picture(Image.fromarray(face))
    starts = Starts(SIZE, PhotoReader(str(parser)))
    read = made(starts, kind="photo", name="a/photo.png", content=content)
    expected = parse_face(central_square(face, 32), open_parser(parser)).mask
    assert np.array_equal(read, resize_mask(expected, SIZE))


def test_without_a_parser_photos_are_refused_in_words() -> None:
    with pytest.raises(UserError, match=r"none is loaded.*--parser PATH"):
        Starts(SIZE).make({"kind": "photo", "content": picture(Image.new("RGB", (8, 8)))})


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"kind": "template", "name": "smiel"}, "Did you mean 'smile'"),
        ({"kind": "random", "seed": -1}, "seed"),
        ({"kind": "file"}, "unknown"),
        ({"kind": "mask"}, "missing"),
        ({"kind": "mask", "content": file_text(b"no picture")}, "not an image"),
        ({"kind": "mask", "content": picture(Image.new("RGB", (64, 64)))}, "mode RGB"),
        ({"kind": "mask", "content": picture(Image.new("L", (64, 64)), "JPEG")}, "JPEG"),
        ({"kind": "mask", "content": picture(Image.new("L", (64, 48)))}, "64x48"),
        ({"kind": "mask", "content": picture(Image.new("L", (64, 64), 77))}, "no class: 77"),
        ({"kind": "mask", "content": picture(Image.new("L", (1025, 1025)))}, "up to 1024x1024"),
        ({"kind": "mask", "content": picture(Image.new("L", (64, 64)), "EPS")}, "not an image"),
        ({"kind": "photo", "content": picture(Image.new("RGB", (8, 8)), "BMP")}, "BMP"),
        ({"kind": "photo", "content": picture(Image.new("1", (8000, 8000)))}, "64 million pixels"),
    ],
)
def test_bad_starts(wish: dict[str, Any], message: str, parser: Path) -> None:
    with pytest.raises(UserError, match=message):
        Starts(SIZE, PhotoReader(str(parser))).make(wish)


def test_a_request_holds_an_upload() -> None:
    assert limits.BODY_BYTES > limits.UPLOAD_BYTES * 4 / 3
