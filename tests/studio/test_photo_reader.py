"""Photos as the model and its judges see them: the same square, each at its own size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facecond.data.alignment import Landmarks
from facecond.data.face_finder import FoundFace
from facecond.data.pictures import resize_mask
from facecond.data.rendered import render
from facecond.data.writing import encode_png
from facecond.errors import UserError
from facecond.evaluation.photo import align, central_square, judge_attributes, parse_face
from facecond.labels import UNSPECIFIED
from facecond.studio.photo_reader import PhotoReader
from facecond.studio.photos import Photos

SIZE, PARSER_SIZE, CLASSIFIER_SIZE = 32, 48, 24
FACE = render(0, 3, 96).image
PHOTO = np.pad(FACE, ((10, 10), (40, 0), (0, 0)))
CONTENT = encode_png(PHOTO)


def test_each_sees_the_square_at_its_own_size(judges: tuple[str, str]) -> None:
    reader = PhotoReader(judges[0], classifier=judges[1])
    assert reader.parser is not None and reader.classifier is not None
    read = reader.read(Path("me.png"), CONTENT, SIZE)
    assert read.words == "The central square"
    assert np.array_equal(read.crop, central_square(PHOTO, SIZE))
    parsed = parse_face(central_square(PHOTO, PARSER_SIZE), reader.parser).mask
    assert read.mask is not None and np.array_equal(read.mask, resize_mask(parsed, SIZE))
    assert np.array_equal(reader.mask(Path("me.png"), CONTENT, SIZE), read.mask)
    judged = judge_attributes(central_square(PHOTO, CLASSIFIER_SIZE), reader.classifier)
    assert np.array_equal(read.attributes, judged) and (judged != UNSPECIFIED).any()


def test_without_judges_nothing_is_known() -> None:
    read = PhotoReader().read(Path("me.png"), CONTENT, SIZE)
    assert read.mask is None and (read.attributes == UNSPECIFIED).all()
    with pytest.raises(UserError, match=r"none is loaded.*--parser PATH"):
        PhotoReader().mask(Path("me.png"), CONTENT, SIZE)


class Finder:
    """Finds what it was told to."""

    def __init__(self, count: int) -> None:
        eyes, mouth = ([70.0, 50], [105.0, 50]), ([75.0, 85], [100.0, 85])
        marks = Landmarks(*map(np.array, eyes), *map(np.array, mouth))
        self.faces = [FoundFace((60 - i, 20, 60, 80), marks, 0.9) for i in range(count)]

    def find(self, photo: np.ndarray) -> list[FoundFace]:
        return self.faces


@pytest.mark.parametrize(("count", "words"), [(1, "The face"), (2, "The largest of 2 faces")])
def test_the_largest_face_is_cut_out(
    monkeypatch: pytest.MonkeyPatch, count: int, words: str
) -> None:
    finder = Finder(count)
    monkeypatch.setattr(Photos, "finder", lambda self: finder)
    read = PhotoReader().read(Path("me.png"), CONTENT, SIZE)
    assert read.words == words
    assert np.array_equal(read.crop, align(PHOTO, finder.faces[0], SIZE))


def test_a_photo_without_a_face_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Photos, "finder", lambda self: Finder(0))
    with pytest.raises(UserError, match=r"me\.png.*no face found"):
        PhotoReader().read(Path("me.png"), CONTENT, SIZE)
