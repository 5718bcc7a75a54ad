"""Marks: what a picture's file says when it is saved by whoever asked for it."""

from __future__ import annotations

import io
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from facecond import __version__
from facecond.sampling.marks import ORIGIN, MarkedImage, png_text, words_of

PIXELS = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)


@pytest.fixture
def picture() -> Image.Image:
    return MarkedImage.of(PIXELS)


def test_info_and_pixels(picture: Image.Image) -> None:
    assert picture.info["Software"] == f"facecond {__version__}"
    assert picture.info["Description"] == ORIGIN and "synthetic" in picture.info["comment"]
    assert np.array_equal(np.asarray(picture), PIXELS) and picture.mode == "RGB"
    assert pickle.loads(pickle.dumps(picture)).info == picture.info


def test_a_png_that_is_saved_as_usual_says_so(picture: Image.Image, tmp_path: Path) -> None:
    picture.save(tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as saved:
        assert saved.text["Description"] == ORIGIN  # type: ignore[attr-defined]
        told = json.loads(saved.text["facecond"])  # type: ignore[attr-defined]
        assert (told["origin"], told["version"]) == (ORIGIN, __version__)
        assert np.array_equal(np.asarray(saved), PIXELS)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_exif_says_so(picture: Image.Image, kind: str) -> None:
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    assert Image.open(buffer).getexif()[0x010E] == ORIGIN


def test_comments_and_formats_that_hold_none(picture: Image.Image) -> None:
    for kind in ("GIF", "JPEG"):
        for one in (picture, picture.resize((8, 8))):
            buffer = io.BytesIO()
            one.save(buffer, kind)
            assert Image.open(buffer).info["comment"] == words_of(ORIGIN).encode()
    picture.save(io.BytesIO(), "BMP")


def test_what_is_said_on_saving_goes_first(picture: Image.Image) -> None:
    mine, buffer = PngInfo(), io.BytesIO()
    mine.add_text("Title", "mine")
    picture.save(buffer, "PNG", pnginfo=mine)
    assert Image.open(buffer).info["Title"] == "mine"
    assert "facecond" not in Image.open(buffer).info


def test_a_model_is_named_where_it_is_known() -> None:
    assert words_of(model_hash="ab12").endswith("model ab12")
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "PNG", pnginfo=png_text(model_hash="ab12"))
    assert json.loads(Image.open(buffer).info["facecond"])["model_hash"] == "ab12"
