"""What a face's file says: everything that it was made from, and the mask itself."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from facecond.errors import UserError
from facecond.face_files import face_png
from facecond.face_files.record import SCHEMA, mask_of, read_face, same_request
from facecond.labels import ATTRIBUTES


def test_a_file_holds_its_record(tmp_path: Path, made: Any) -> None:
    artist, request, image = made
    record = artist.record(request, 4, 2)
    path = tmp_path / "face.png"
    path.write_bytes(face_png(image, record))
    pixels, told = read_face(path)
    assert np.array_equal(pixels, image) and told == record
    assert list(told["attribute_values"]) == list(ATTRIBUTES)
    assert told["attribute_values"]["Smiling"] == 1 and told["attribute_values"]["Male"] == -1
    assert np.array_equal(mask_of(told, 32, path), request.mask)
    for name in ("model_hash", "routing_hash", "scheduler_hash", "versions", "threads", "precision",
                 "device", "origin"):  # fmt: skip
        assert told[name]
    assert (told["batch_size"], told["batch_index"]) == (4, 2)
    assert same_request(told, artist.record(request))  # the batch is no part of what is asked
    assert not same_request(told, told | {"seed": 8})


def test_a_mask_of_another_checksum_is_refused(made: Any) -> None:
    artist, request, _ = made
    record = artist.record(request)
    other = base64.b64decode(record["mask_png"])
    assert len(other) < 2000
    with pytest.raises(UserError, match="checksum"):
        mask_of(record | {"mask_sha256": "0" * 64}, 32, "face.png")


def test_a_mask_that_is_no_text_of_bytes_is_refused(made: Any) -> None:
    artist, request, _ = made
    with pytest.raises(UserError, match="its mask is damaged"):
        mask_of(artist.record(request) | {"mask_png": "#"}, 32, "face.png")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "does not say how it was made"),
        ("{", "damaged, or of an earlier version"),
        (json.dumps({"seed": 7}), "earlier version"),
        (json.dumps({"schema": "facecond.mark/1"}), "only that it is synthetic"),
        (json.dumps({"schema": "facecond.face/9"}), rf"of another version.*{SCHEMA}"),
    ],
)
def test_files_without_a_record_of_ours(tmp_path: Path, text: str | None, message: str) -> None:
    info = PngInfo()
    if text is not None:
        info.add_text("facecond", text)
    Image.new("RGB", (8, 8)).save(tmp_path / "face.png", pnginfo=info)
    with pytest.raises(UserError, match=message):
        read_face(tmp_path / "face.png")
