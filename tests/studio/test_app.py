"""The server: calls over HTTP, the password, closed ways, and the command that starts it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from facecond.cli import main
from facecond.errors import UserError
from facecond.studio import app, limits
from facecond.studio.line import Line
from facecond.studio.session import ModelSession
from facecond.studio.starts import Starts

gradio = pytest.importorskip("gradio", reason="Gradio is not installed (extra [studio])")
import httpx  # noqa: E402  Gradio brings it


def serve(session: ModelSession, password: str | None = None) -> Iterator[httpx.Client]:
    blocks = app.build(session, Starts(session.image_size))
    address = app.start(blocks, "127.0.0.1", None, password)
    with httpx.Client(base_url=address, timeout=30) as client:
        yield client
    blocks.close(verbose=False)


@pytest.fixture(scope="module")
def studio(session: ModelSession) -> Iterator[httpx.Client]:
    yield from serve(session)


@pytest.fixture(scope="module")
def locked(session: ModelSession) -> Iterator[httpx.Client]:
    yield from serve(session, "open sesame")


def drawn(client: httpx.Client, wish: Any) -> list[dict[str, Any]]:
    """The events of a drawing."""
    event = client.post("gradio_api/call/draw", json={"data": [wish]}).json()["event_id"]
    text = client.get(f"gradio_api/call/draw/{event}").text
    lines = [line for line in text.splitlines() if line.startswith("data: [")]
    return [json.loads(line.removeprefix("data: "))[0] for line in lines]


def test_a_drawing_over_http(studio: httpx.Client, wish: dict[str, Any]) -> None:
    events = drawn(studio, wish)
    assert events[-1]["state"] == "done" and len(events[-1]["faces"]) == 2


@pytest.mark.parametrize("name", app.QUICK_CALLS)
def test_nonsense_is_answered_in_words(studio: httpx.Client, name: str) -> None:
    for value in (None, 3, {"mask": "?"}, {"kind": {"path": "/etc/passwd"}}):
        answer = studio.post(f"gradio_api/run/{name}", json={"data": [value]})
        assert answer.status_code == 200, answer.text
        assert answer.json()["data"][0]["state"] == "error" and "Traceback" not in answer.text


def test_nonsense_to_draw_harms_nobody(studio: httpx.Client, wish: dict[str, Any]) -> None:
    assert drawn(studio, {"count": 10**9})[-1]["state"] == "error"
    assert drawn(studio, wish)[-1]["state"] == "done"


def test_large_bodies_and_files_are_refused(studio: httpx.Client) -> None:
    large = b"x" * (limits.BODY_BYTES + 1)
    assert studio.post("gradio_api/run/start", content=large).status_code == 413
    upload = studio.post("gradio_api/upload", files={"files": b"12345"})
    assert upload.status_code == 404
    assert studio.get("gradio_api/file=/etc/passwd").status_code == 404


def test_ways_that_the_page_does_not_take_are_closed(studio: httpx.Client) -> None:
    for way in ("monitoring", "gradio_api/info", "gradio_api/queue/data", "gradio_api/deep_link"):
        assert studio.get(way).status_code == 404
    for way in ("process_recording", "component_server", "queue/join", "run/draw", "reset"):
        assert studio.post(f"gradio_api/{way}", json={"data": [{}]}).status_code == 404


def test_an_address_is_told_to_the_line(
    session: ModelSession, wish: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    join = Line.join

    def noted(line: Line, name: str, client: str, work: Any, address: str = "") -> Any:
        seen.append(address)
        return join(line, name, client, work, address)

    monkeypatch.setattr(Line, "join", noted)
    for client in serve(session):
        assert drawn(client, wish)[-1]["state"] == "done"
    assert seen == ["127.0.0.1"]


def test_calls_leave_nothing_behind(
    session: ModelSession, wish: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "SESSIONS", 8)
    blocks = app.build(session, Starts(session.image_size))
    address = app.start(blocks, "127.0.0.1", None)
    with httpx.Client(base_url=address, timeout=30) as client:
        for number in range(12):
            asked = wish | {"job": f"job-{number:08d}", "count": 1, "steps": 1}
            assert drawn(client, asked)[-1]["state"] == "done"
    assert 0 < len(blocks.app.state_holder.session_data) <= 8
    assert len(blocks._queue.event_analytics) <= 1
    assert blocks._queue.event_count_at_last_cache == 0  # nothing was summed up
    blocks.close(verbose=False)


def test_the_page_is_served(studio: httpx.Client) -> None:
    page = studio.get("/")
    assert page.status_code == 200 and app.TITLE in page.text


def test_without_the_password_nothing_is_answered(
    locked: httpx.Client, wish: dict[str, Any]
) -> None:
    call = "gradio_api/call/draw"
    assert locked.post(call, json={"data": [wish]}).status_code == 401
    assert locked.post("gradio_api/run/surprise", json={"data": [{"seed": 1}]}).status_code == 401
    wrong = locked.post("login", data={"username": "me", "password": "open"})
    assert wrong.status_code == 400
    begun = time.monotonic()
    assert locked.post(call, json={"data": [wish]}).status_code == 401
    assert locked.post("login", data={"username": "me", "password": "open sesame"}).is_success
    assert time.monotonic() - begun > limits.WRONG_PASSWORD_SECONDS / 2  # no guessing at speed
    assert drawn(locked, wish)[-1]["state"] == "done"


def test_a_taken_port_is_said_in_one_line(
    studio: httpx.Client, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["studio", str(model), "--port", str(studio.base_url.port)]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert f"127.0.0.1:{studio.base_url.port}" in said and "--port" in said


def test_a_proxy_of_the_environment_is_no_hindrance(
    session: ModelSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "" if name.lower() == "no_proxy" else "http://127.0.0.1:9")
    for client in serve(session):
        assert client.get("/").status_code == 200


def test_a_server_that_does_not_start_is_said_in_words(
    session: ModelSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = app.build(session, Starts(session.image_size))
    said = httpx.ConnectError("no way\nto this machine " + "because of the weather " * 20)

    def fails(**_: Any) -> None:
        raise said

    monkeypatch.setattr(blocks, "launch", fails)
    with pytest.raises(
        UserError, match=r"h:1: the server does not start \(no way to .*\w \.\.\.\)"
    ):
        app.start(blocks, "h", 1)
