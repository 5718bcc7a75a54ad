"""Photos that arrive: formats, sizes, one at a time."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facecond.errors import UserError
from facecond.studio.photos import Photos, file_name

NAME = Path("me.jpg")


def picture(kind: str, size: tuple[int, int] = (8, 6), **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (9, 90, 200)).save(buffer, kind, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "MPO"])
def test_photos_of_every_kind(kind: str) -> None:
    options = {"save_all": True, "append_images": [Image.new("RGB", (8, 6))]}
    with Photos().opened(NAME, picture(kind, **options if kind == "MPO" else {})) as photo:
        assert photo.shape == (6, 8, 3) and photo.dtype == np.uint8


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (picture("BMP"), "the photo is a BMP.*JPEG, PNG, WebP"),
        (picture("EPS"), "not an image"),
        (b"GIF89a", "corrupt"),
        (picture("PNG", (8000, 8000)), "64 million pixels"),
    ],
)
def test_what_is_no_photo(content: bytes, message: str) -> None:
    with pytest.raises(UserError, match=message), Photos().opened(NAME, content):
        pass


def test_one_photo_is_open_at_a_time() -> None:
    photos = Photos(patience=0.05)
    with (
        photos.opened(NAME, picture("PNG")),
        pytest.raises(UserError, match="others are opening photos"),
        photos.opened(NAME, picture("PNG")),
    ):
        pass
    with photos.opened(NAME, picture("PNG")):
        pass  # its turn came back


def test_a_file_name_leads_nowhere() -> None:
    assert str(file_name({"name": "../../etc/passwd"})) == "passwd"
    assert len(str(file_name({"name": "x" * 10**7}))) <= 60
    for name in (None, "", 3, ["a"]):
        assert str(file_name({"name": name})) == "the file"
