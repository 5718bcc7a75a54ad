"""Masks and files as text: there and back, and what arrives damaged."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from facecond.errors import UserError
from facecond.studio.codec import (
    bytes_from_text,
    file_text,
    mask_from_text,
    mask_text,
    preview_text,
)


def test_a_mask_comes_back_class_for_class() -> None:
    mask = np.random.default_rng(0).choice([*range(19), 255], (16, 16)).astype(np.uint8)
    assert np.array_equal(mask_from_text(mask_text(mask), 16), mask)
    assert np.array_equal(mask_from_text(mask_text(mask.T), 16), mask.T)  # row by row, as it lies


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (mask_text(np.zeros((8, 8), np.uint8)), "64 pixels, the model takes 16 x 16"),
        (mask_text(np.full((16, 16), 19, np.uint8)), r"unknown classes \[19\]"),
        ("?" * 8, "damaged"),
        ("a" * 10_000, "too large"),
        (None, "missing"),
        (12, "missing"),
    ],
)
def test_what_is_no_mask(text: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        mask_from_text(text, 16)


def test_files_are_bounded() -> None:
    assert bytes_from_text(file_text(b"12345"), "it", 5) == b"12345"
    with pytest.raises(UserError, match="too large"):
        bytes_from_text(file_text(b"1" * 20), "it", 5)


def test_a_preview_is_a_jpeg() -> None:
    text = preview_text(np.full((8, 8, 3), 200, np.uint8))
    picture = Image.open(io.BytesIO(base64.b64decode(text)))
    assert picture.format == "JPEG" and picture.size == (8, 8)
