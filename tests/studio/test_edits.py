"""Photos to edit: what the page is given, and requests that are read and refused."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from facecond.data.rendered import render
from facecond.data.writing import encode_png
from facecond.editing.regions import REGIONS
from facecond.errors import UserError
from facecond.evaluation.photo import central_square
from facecond.labels import ABSENT, ATTRIBUTES, PRESENT, UNSPECIFIED
from facecond.studio.codec import bytes_from_text, file_text, mask_text
from facecond.studio.edits import REGIONS_SHOWN, EditRequest, agreed, photo_to_edit, read_edit
from facecond.studio.photo_reader import PhotoReader, ReadPhoto
from facecond.studio.session import ModelSession

SIZE = 32
READS = ("attributes", "mask")


def read(value: Any, session: ModelSession) -> EditRequest:
    return read_edit(value, SIZE, READS, session.pipeline.unet.trained_routing, PhotoReader())


def test_what_was_asked_is_what_is_read(
    edit_wish: dict[str, Any], square: np.ndarray, session: ModelSession
) -> None:
    asked = read(edit_wish, session)
    assert np.array_equal(asked.photo, square) and asked.name == "me.jpg"
    named = {n: v for n, v in zip(ATTRIBUTES, asked.change, strict=True) if v != UNSPECIFIED}
    assert named == {"Blond_Hair": PRESENT, "Eyeglasses": ABSENT}
    assert asked.shown[ATTRIBUTES.index("Smiling")] == 1
    assert asked.layout is not None and (asked.layout == 13).all() and asked.new_layout is None
    assert (asked.region, asked.strength, asked.steps) == (("hair", "ears"), 0.6, 2)
    assert asked.guidance == {"mask": 2.0}
    assert asked.layout_from == {"painted": "in the studio"}


def test_what_is_left_out_is_open(edit_wish: dict[str, Any], session: ModelSession) -> None:
    bare = {"name": "me.jpg", "png": edit_wish["photo"]["png"]}
    asked = read({**edit_wish, "photo": bare, "where": []}, session)
    assert asked.layout is None and asked.region is None
    assert (asked.shown == UNSPECIFIED).all()
    assert (asked.layout_from, asked.attributes_from) == ({"none": "all"}, {})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"photo": None}, "the photo cannot be read"),
        ({"strength": 0}, "strength is 0.*up to 1"),
        ({"strength": float("nan")}, "strength is"),
        ({"strength": "1"}, "strength is"),
        ({"steps": 51}, "number of steps is 51"),
        ({"where": ["hiar"]}, "unknown region 'hiar'.*'hair'"),
        ({"where": "hair"}, "where to edit cannot be read"),
        ({"guidance": {"reference": 2}}, "unknown source"),
        ({"attributes": {"Black_Hair": 1, "Blond_Hair": 1}}, "exclude"),
        ({"mask": "####"}, "damaged"),
        ({"job": "x"}, "no name"),
        ({"off": [["nowhere", "mask"]]}, "nowhere"),
    ],
)
def test_bad_requests(
    edit_wish: dict[str, Any], session: ModelSession, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        read({**edit_wish, **change}, session)


def test_a_picture_of_another_size_is_refused(
    edit_wish: dict[str, Any], session: ModelSession
) -> None:
    large = file_text(encode_png(np.zeros((40, 40, 3), np.uint8)))
    edit_wish["photo"]["png"] = large
    with pytest.raises(UserError, match=r"40 x 40.*32 x 32"):
        read(edit_wish, session)


def test_the_page_keeps_what_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    face = render(0, 1, 96).image
    sent = {"name": "C:/me/me.png", "content": file_text(encode_png(face))}
    told = photo_to_edit(sent, PhotoReader(), SIZE)
    assert (told["name"], told["words"], told["mask"], told["shown"]) == (
        "me.png", "The central square", None, {},
    )  # fmt: skip
    with Image.open(io.BytesIO(bytes_from_text(told["png"], "it"))) as picture:
        assert np.array_equal(np.array(picture), central_square(face, SIZE))
    mask, values = (
        np.full((SIZE, SIZE), 3, np.uint8),
        np.full(len(ATTRIBUTES), UNSPECIFIED, np.int8),
    )
    values[ATTRIBUTES.index("Smiling")], values[ATTRIBUTES.index("Bald")] = PRESENT, ABSENT
    found = ReadPhoto(face, mask, values, "The face")
    monkeypatch.setattr(PhotoReader, "read", lambda *_: found)
    told = photo_to_edit(sent, PhotoReader(), SIZE)
    assert told["mask"] == mask_text(mask) and told["shown"] == {"Smiling": 1, "Bald": 0}


def test_where_layout_and_attributes_are_from_is_recorded(
    edit_wish: dict[str, Any], session: ModelSession, judges: tuple[str, str]
) -> None:
    reader = PhotoReader(judges[0], classifier=judges[1])
    edit_wish["photo"]["painted"] = False
    trained = session.pipeline.unet.trained_routing
    asked = read_edit(edit_wish, SIZE, READS, trained, reader)
    assert reader.parser is not None and reader.classifier is not None
    assert asked.layout_from == {"parser": judges[0], "weights": reader.parser.weights}
    assert asked.attributes_from["classifier"] == judges[1]
    edit_wish["photo"]["painted"] = True
    assert "painted" in read_edit(edit_wish, SIZE, READS, trained, reader).layout_from


def test_what_a_judge_contradicts_itself_in_is_open(
    edit_wish: dict[str, Any], session: ModelSession
) -> None:
    values = np.full(len(ATTRIBUTES), UNSPECIFIED, np.int8)
    for name in ("Black_Hair", "Brown_Hair", "Smiling"):
        values[ATTRIBUTES.index(name)] = PRESENT
    sure = agreed(values)
    assert [ATTRIBUTES[i] for i in np.flatnonzero(sure == PRESENT)] == ["Smiling"]
    edit_wish["photo"]["shown"] = {"Black_Hair": 1, "Brown_Hair": 1}
    with pytest.raises(UserError, match="exclude"):  # nobody but the page sends this
        read(edit_wish, session)


def test_the_page_offers_regions_of_both_sides() -> None:
    assert {"eyes", "brows", "ears", "mouth", "hair", "all"} <= set(REGIONS_SHOWN) <= set(REGIONS)
    assert not {"l_eye", "r_ear", "u_lip", "background"} & set(REGIONS_SHOWN)
