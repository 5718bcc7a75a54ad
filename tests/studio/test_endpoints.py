"""What the page may call: streams of events, and every fault in words."""

from __future__ import annotations

import base64
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facecond.data.masks import read_mask
from facecond.data.writing import encode_png
from facecond.studio.app import QUICK_CALLS
from facecond.studio.codec import file_text, mask_text
from facecond.studio.endpoints import LAST, Endpoints
from facecond.studio.limits import OPENING
from facecond.studio.line import OUR_FAULT, Line
from facecond.studio.session import ModelSession
from facecond.studio.starts import Starts


@pytest.fixture
def endpoints(session: ModelSession) -> Endpoints:
    return Endpoints(session, Starts(session.image_size), Line())


def test_drawing_ends_with_faces(endpoints: Endpoints, wish: dict[str, Any]) -> None:
    events = list(endpoints.draw(wish))
    assert {event["state"] for event in events[:-1]} <= {"waiting", "drawing"}
    assert events[-1]["state"] == "done" and len(events[-1]["faces"]) == 2


def test_a_bad_request_is_answered_in_words(endpoints: Endpoints, wish: dict[str, Any]) -> None:
    (event,) = endpoints.draw({**wish, "count": 99})
    assert event["state"] == "error" and "99" in event["what"] and "16" in event["fix"]
    (event,) = endpoints.draw(None)  # type: ignore[arg-type]
    assert event["state"] == "error"
    assert list(endpoints.draw(wish))[-1]["state"] == "done"


def test_our_own_faults_show_no_trace(
    endpoints: Endpoints, wish: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("an index lies outside the tensor at 0x7f")

    with monkeypatch.context() as patched:
        patched.setattr(endpoints.session, "draw", broken)
        assert list(endpoints.draw(wish)) == [OUR_FAULT]
        patched.setattr(endpoints.starts, "make", broken)
        assert endpoints.start({}) == OUR_FAULT
    assert list(endpoints.draw(wish))[-1]["state"] == "done"


def test_people_wait_for_each_other(
    endpoints: Endpoints, wish: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, release = threading.Event(), threading.Event()

    def slow(request: Any, job: Any) -> dict[str, Any]:
        begun.set()
        assert release.wait(10)
        job.check()
        return {"state": "done", "faces": []}

    monkeypatch.setattr(endpoints.session, "draw", slow)
    told: dict[str, list[Any]] = {"a": [], "b": []}

    def person(name: str) -> None:
        for event in endpoints.draw({**wish, "job": f"job-{name * 8}", "client": name * 8}):
            told[name].append(event)

    first = threading.Thread(target=person, args="a")
    first.start()
    assert begun.wait(10)
    second = endpoints.draw({**wish, "job": "job-bbbbbbbb", "client": "bbbbbbbb"})
    assert next(second) == {"state": "waiting", "position": 1}
    (refused,) = endpoints.draw({**wish, "job": "job-cccccccc", "client": "bbbbbbbb"})
    assert "still being drawn" in refused["what"]
    assert endpoints.cancel({"job": "job-bbbbbbbb"}) == {"cancelled": True}
    assert [event["state"] for event in second] == ["cancelled"]
    release.set()
    first.join(10)
    assert told["a"][-1]["state"] == "done"


def test_a_page_that_leaves_gives_up_its_place(
    endpoints: Endpoints, wish: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()

    def slow(request: Any, job: Any) -> dict[str, Any]:
        job.events.put({"state": "drawing", "step": 0, "steps": 1})
        try:
            while True:
                job.check()
                threading.Event().wait(0.01)
        finally:
            ended.set()

    monkeypatch.setattr(endpoints.session, "draw", slow)
    drawing = endpoints.draw(wish)
    assert next(drawing)["state"] == "drawing"
    drawing.close()  # type: ignore[attr-defined]
    assert ended.wait(10)


def test_a_drawing_that_ends_leaves_others_of_its_name_alone(
    endpoints: Endpoints, wish: dict[str, Any]
) -> None:
    assert list(endpoints.draw(wish))[-1]["state"] == "done"
    assert list(endpoints.draw(wish))[-1]["state"] == "done"
    assert endpoints.cancel({"job": wish["job"]}) == {"cancelled": False}
    assert [event["state"] for event in endpoints.draw(wish)] == ["cancelled"]


def test_files_are_opened_for_few_at_a_time(
    endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, release = threading.Semaphore(0), threading.Event()

    def slow(wish: Any) -> dict[str, Any]:
        if wish["kind"] == "mask":
            inside.release()
            assert release.wait(10)
        return {"mask": wish["kind"]}

    monkeypatch.setattr(endpoints.starts, "make", slow)
    threads = [
        threading.Thread(target=endpoints.start, args=({"kind": "mask"},)) for _ in range(OPENING)
    ]
    for thread in threads:
        thread.start()
        assert inside.acquire(timeout=10)
    for refused in (endpoints.start({"kind": "photo"}), endpoints.reference({})):
        assert refused["what"] == "others are opening files"
    assert endpoints.start({"kind": "random"}) == {"mask": "random"}
    release.set()
    for thread in threads:
        thread.join(10)
    assert endpoints.start({"kind": "mask"}) == {"mask": "mask"}


def test_a_photo_becomes_a_reference(
    reader: ModelSession, wish: dict[str, Any], square: np.ndarray
) -> None:
    endpoints = Endpoints(reader, Starts(reader.image_size), Line())
    photo = file_text(encode_png(np.kron(square, np.ones((3, 3, 1), np.uint8))))
    answer = endpoints.reference({"name": "/etc/me.png", "content": photo})
    assert answer["name"] == "me.png" and answer["words"] == "The central square"
    plain = list(endpoints.draw(wish))[-1]["faces"]
    given = {"content": answer["png"], "name": "me.png", "take": ["geometry"], "weight": 1}
    done = list(endpoints.draw({**wish, "references": [given]}))[-1]
    assert done["faces"][0]["png"] != plain[0]["png"] and done["strange"] == []


def test_a_model_without_references_says_so(endpoints: Endpoints) -> None:
    answer = endpoints.reference({"name": "a.png", "content": ""})
    assert "not trained with references" in answer["what"]


def test_a_mask_is_exported_as_painted(endpoints: Endpoints) -> None:
    mask = np.random.default_rng(0).choice([*range(19), 255], (32, 32)).astype(np.uint8)
    content = base64.b64decode(endpoints.export({"mask": mask_text(mask)})["png"])
    assert np.array_equal(read_mask(Path("m.png"), None, content), mask)


@pytest.mark.parametrize("value", [None, {}, [], "x", {"job": 3}, {"mask": 1}, {"seed": "a"}])
@pytest.mark.parametrize("name", ["draw", *QUICK_CALLS])
def test_nonsense_is_answered_in_words(endpoints: Endpoints, name: str, value: Any) -> None:
    answer = getattr(endpoints, name)(value)
    answer = list(answer)[-1] if name == "draw" else answer
    assert answer["state"] == "error" and answer["state"] in LAST
    assert answer["what"] and answer["fix"] and "Traceback" not in str(answer)


def test_a_surprise(endpoints: Endpoints) -> None:
    assert endpoints.surprise({"seed": 1}) == endpoints.surprise({"seed": 1})
    assert set(endpoints.surprise({"seed": 1})["attributes"].values()) <= {0, 1}


def test_a_photo_comes_and_is_edited(endpoints: Endpoints, edit_wish: dict[str, Any]) -> None:
    sent = {"name": "me.png", "content": file_text(encode_png(np.zeros((50, 40, 3), np.uint8)))}
    photo = endpoints.photo(sent)
    assert photo["words"] == "The central square" and photo["mask"] is None
    *_, last = endpoints.edit({**edit_wish, "photo": photo, "where": []})
    assert last["state"] == "done" and last["kept"] == 0 and len(last["faces"]) == 1


def test_faults_of_edits_are_said_in_words(endpoints: Endpoints, edit_wish: dict[str, Any]) -> None:
    assert "missing" in endpoints.photo({"name": "me.png"})["what"]
    (event,) = endpoints.edit({**edit_wish, "strength": 2})
    assert event["state"] == "error" and "up to 1" in event["fix"]
    *_, event = endpoints.edit({**edit_wish, "attributes": {"Smiling": 1}})
    assert event["state"] == "error" and "shows Smiling already" in event["what"]
