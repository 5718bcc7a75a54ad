"""Requests gone wrong: whatever is sent, the studio answers in words, and none is its own fault."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from facecond.data.masks import mask_png, random_mask
from facecond.data.writing import encode_png
from facecond.errors import UserError
from facecond.studio.codec import file_text
from facecond.studio.edits import read_edit
from facecond.studio.endpoints import Endpoints
from facecond.studio.line import OUR_FAULT, Line
from facecond.studio.photo_reader import PhotoReader
from facecond.studio.request import read_request
from facecond.studio.session import ModelSession
from facecond.studio.starts import Starts

SIZE = 32
FUZZ = settings(
    max_examples=int(os.environ.get("FACECOND_FUZZ", "60")),
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        ["", "a" * 5000, "AAAA", "../../x", "\x00", "Smiling", "mask", "photo", 1e308]
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in a JSON value, itself among them."""
    yield path
    listed = dict(enumerate(value)) if isinstance(value, list) else {}
    inner = value if isinstance(value, dict) else listed
    for key, one in inner.items():
        yield from places(one, (*path, key))


@st.composite
def mutants(draw: st.DrawFn, value: Any) -> Any:
    """A JSON value with one or two of its parts replaced, renamed or left out."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 2))):
        *path, last = draw(st.sampled_from([p for p in places(value) if p] or [("x",)]))
        around = value
        for key in path:
            around = around[key]
        if draw(st.booleans()):
            around[last] = draw(JSON)
        elif isinstance(around, dict):
            kept = around.pop(last, None)
            if draw(st.booleans()):
                around[draw(st.text(max_size=9))] = kept
    return value


@pytest.fixture(scope="module")
def endpoints(reader: ModelSession, judges: tuple[str, str]) -> Endpoints:
    """Of a model that reads references, with judges for photos."""
    return Endpoints(reader, Starts(SIZE, PhotoReader(judges[0], classifier=judges[1])), Line())


@FUZZ
@given(data=st.data())
def test_a_drawing_is_read_or_refused(
    data: st.DataObject, reader: ModelSession, wish: dict[str, Any], reference: dict[str, Any]
) -> None:
    asked = data.draw(mutants({**wish, "references": [reference], "off": [["x", "mask"]]}))
    trained = reader.pipeline.unet.trained_routing
    try:
        read_request(asked, SIZE, reader.sources, trained, reader.taught)
        event("read")
    except UserError as error:
        event("refused")
        assert len(str(error)) < 2000 and error.what and error.fix


@FUZZ
@given(data=st.data())
def test_an_edit_is_read_or_refused(
    data: st.DataObject, session: ModelSession, edit_wish: dict[str, Any]
) -> None:
    asked = data.draw(mutants(edit_wish))
    try:
        trained = session.pipeline.unet.trained_routing
        read_edit(asked, SIZE, session.reads, trained, PhotoReader())
        event("read")
    except UserError as error:
        event("refused")
        assert len(str(error)) < 2000 and error.what and error.fix


PICTURE = file_text(encode_png(np.zeros((40, 50, 3), np.uint8)))
MASK = file_text(mask_png(random_mask(1, SIZE)))
CALLS = {
    "start": [
        {"kind": "template", "name": "smile"},
        {"kind": "random", "seed": 3},
        {"kind": "mask", "name": "m.png", "content": MASK},
        {"kind": "photo", "name": "me.png", "content": PICTURE},
    ],
    "photo": [{"name": "me.png", "content": PICTURE}],
    "reference": [{"name": "me.png", "content": PICTURE}],
    "export": [{"mask": file_text(bytes(SIZE * SIZE))}],
    "surprise": [{"seed": 3}],
    "cancel": [{"job": "job-00000009"}],
}


@pytest.mark.parametrize("name", CALLS)
@FUZZ
@given(data=st.data())
def test_a_quick_call_is_answered_in_words(
    name: str, data: st.DataObject, endpoints: Endpoints
) -> None:
    asked = data.draw(st.one_of(JSON, *(mutants(good) for good in CALLS[name])))
    answer = getattr(endpoints, name)(asked)
    event("refused" if answer.get("state") == "error" else "answered")
    assert answer != OUR_FAULT


@pytest.mark.parametrize("name", CALLS)
def test_the_good_calls_are_answered(name: str, endpoints: Endpoints) -> None:
    for good in CALLS[name]:
        assert getattr(endpoints, name)(good).get("state") != "error"
