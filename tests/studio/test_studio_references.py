"""References on the page: photos brought to size, requests read, faults in words."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from facecond.data.alignment import Landmarks
from facecond.data.face_finder import FoundFace
from facecond.data.rendered import render
from facecond.data.writing import encode_png
from facecond.errors import UserError
from facecond.evaluation.photo import align, central_square
from facecond.studio import limits
from facecond.studio.codec import bytes_from_text, file_text
from facecond.studio.photos import Photos
from facecond.studio.references import read_references, reference_face, takes
from facecond.studio.session import ModelSession

SIZE = 32
KNOWN = ("appearance", "geometry", "Blond_Hair")


def square(seed: int = 0) -> np.ndarray:
    """A picture of the model's size."""
    return np.random.default_rng(seed).integers(0, 256, (SIZE, SIZE, 3), np.uint8)


def a_reference(seed: int = 0, **changed: Any) -> dict[str, Any]:
    """What the page sends for it."""
    sent = {"name": f"{seed}.jpg", "content": file_text(encode_png(square(seed)))}
    return {**sent, "take": ["appearance"], "weight": 1.0, **changed}


def picture(size: tuple[int, int], kind: str = "PNG", mode: str = "RGB") -> str:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, kind)
    return file_text(buffer.getvalue())


def pixels(answer: dict[str, str]) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(bytes_from_text(answer["png"], "it"))))


class Finder:
    """Finds the same faces in any photo."""

    def __init__(self, count: int) -> None:
        self.count = count

    def find(self, photo: np.ndarray) -> list[FoundFace]:
        points = Landmarks(*(np.array(p, float) for p in ((30, 40), (62, 40), (34, 68), (58, 68))))
        return [FoundFace((20, 20, 50, 60), points, 0.9)] * self.count


@pytest.mark.parametrize(
    ("faces", "words"),
    [
        (None, "The central square"),
        (0, "No face found: the central square"),
        (1, "The face"),
        (3, "The largest of 3 faces"),
    ],
)
def test_a_photo_becomes_the_square_that_the_model_sees(
    faces: int | None, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = render(0, 0, 96).image[:80]
    photos = Photos()
    finder = None if faces is None else Finder(faces)
    monkeypatch.setattr(photos, "finder", lambda: finder)
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "PNG")
    wish = {"name": "C:/me.png", "content": file_text(buffer.getvalue())}
    answer = reference_face(wish, photos, SIZE)
    expected = central_square(photo, SIZE)
    if faces:
        expected = align(photo, Finder(1).find(photo)[0], SIZE)
    assert answer["words"] == words and answer["name"] == "me.png"
    assert np.array_equal(pixels(answer), expected)


def test_what_was_sent_is_what_is_taken(reader: ModelSession) -> None:
    given = [a_reference(1, take=["geometry", "Blond_Hair"], weight=0.5), a_reference(2)]
    read = read_references(given, SIZE, reader.pipeline.condition_encoder.taught)
    told = [(name, one.take, one.weight) for name, one in read]
    assert told == [
        ("1.jpg", "geometry", 0.5), ("1.jpg", "Blond_Hair", 0.5), ("2.jpg", "appearance", 1.0),
    ]  # fmt: skip
    assert np.array_equal(read[0][1].image, square(1))
    assert np.array_equal(read[2][1].image, square(2))


def test_what_can_be_taken(reader: ModelSession, session: ModelSession) -> None:
    assert reader.taught == KNOWN and session.taught == ()
    shown = takes(KNOWN)
    assert [one["words"] for one in shown] == ["appearance", "geometry", "blond hair"]
    assert [one["single"] for one in shown] == [False, False, True]
    assert reader.sources == ("attributes", "mask", "reference")
    assert session.sources == ("attributes", "mask")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("all", "cannot be read"),
        (["a"], "cannot be read"),
        ([a_reference()] * 3, "3 references are given.*up to 2"),
        ([a_reference(weight=1.6)], "1.6.*Choose 0 to 1.5"),
        ([a_reference(weight=True)], "Choose 0 to 1.5"),
        ([a_reference(weight=float("nan"))], "Choose 0 to 1.5"),
        ([a_reference(weight=None)], "Choose 0 to 1.5"),
        ([a_reference(take=["apearance"])], "Did you mean 'appearance'"),
        ([a_reference(take=["identity"])], "not taught to take 'identity'"),
        ([a_reference(take=["x" * 10**6])], "not taught"),
        ([a_reference(take=[])], "Name 1 to 8"),
        ([a_reference(take=["appearance"] * 9)], "Name 1 to 8"),
        ([a_reference(take=[3])], "Name 1 to 8"),
        ([a_reference(take="appearance")], "Name 1 to 8"),
        ([a_reference(content=None)], "missing"),
        ([a_reference(content="?")], "damaged"),
        ([a_reference(content=file_text(b"no picture"))], "not an image"),
        ([a_reference(content=picture((SIZE, SIZE), "JPEG"))], "is a JPEG"),
        ([a_reference(content=picture((SIZE, SIZE), "EPS"))], "not an image"),
        ([a_reference(content=picture((SIZE, SIZE), mode="L"))], "in colour of 32 x 32"),
        ([a_reference(content=picture((64, 32)))], "64 x 32"),
        ([a_reference(content=picture((5000, 5000), mode="1"))], "too large|5000 x 5000"),
        ([a_reference(content="A" * 10**6)], "too large"),
    ],
)
def test_bad_references(given: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_references(given, SIZE, KNOWN)


def test_a_model_that_reads_none() -> None:
    assert read_references([], SIZE, ()) == ()
    with pytest.raises(UserError, match="not trained with references"):
        read_references([a_reference()], SIZE, ())


def test_photos_are_checked_before_they_are_decoded() -> None:
    photos = Photos(patience=0.05)
    large = picture((8000, 8000), mode="1")
    for content, message in ((large, "64 million"), (picture((8, 8), "EPS"), "not an image")):
        with pytest.raises(UserError, match=message):
            reference_face({"content": content}, photos, SIZE)
    assert limits.PHOTO_PIXELS < 8000 * 8000
