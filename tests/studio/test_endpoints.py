"""What the page may call: streams of events, and every fault in words."""

from __future__ import annotations

import base64
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facecond.data.masks import read_mask
from facecond.studio.codec import mask_text
from facecond.studio.endpoints import LAST, Endpoints
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
        raise RuntimeError("CUDA out of memory at 0x7f")

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


def test_a_mask_is_exported_as_painted(endpoints: Endpoints) -> None:
    mask = np.random.default_rng(0).choice([*range(19), 255], (32, 32)).astype(np.uint8)
    content = base64.b64decode(endpoints.export({"mask": mask_text(mask)})["png"])
    assert np.array_equal(read_mask(Path("m.png"), None, content), mask)


@pytest.mark.parametrize("value", [None, {}, [], "x", {"job": 3}, {"mask": 1}, {"seed": "a"}])
@pytest.mark.parametrize("name", ["draw", "cancel", "start", "export", "surprise"])
def test_nonsense_is_answered_in_words(endpoints: Endpoints, name: str, value: Any) -> None:
    answer = getattr(endpoints, name)(value)
    answer = list(answer)[-1] if name == "draw" else answer
    assert answer["state"] == "error" and answer["state"] in LAST
    assert answer["what"] and answer["fix"] and "Traceback" not in str(answer)


def test_a_surprise(endpoints: Endpoints) -> None:
    assert endpoints.surprise({"seed": 1}) == endpoints.surprise({"seed": 1})
    assert set(endpoints.surprise({"seed": 1})["attributes"].values()) <= {0, 1}
