"""Requests that are too large end before they are read; all ways but the page's own are closed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from facecond.studio.body_limit import BodyLimit


def limited(app: Any) -> BodyLimit:
    return BodyLimit(app, 10, calls=("start",), streams=("draw",))


async def reads_all(scope: Any, receive: Any, send: Any) -> None:
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def ask(path: str, pieces: list[bytes], length: str | None = None) -> int | None:
    """Status of the answer; None where the connection just ends."""
    headers = [] if length is None else [(b"content-length", length.encode())]
    scope = {"type": "http", "path": path, "headers": headers}
    waiting = [
        {"type": "http.request", "body": piece, "more_body": i + 1 < len(pieces)}
        for i, piece in enumerate(pieces)
    ]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return waiting.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(limited(reads_all)(scope, receive, send))
    return sent[0]["status"] if sent else None


@pytest.mark.parametrize(
    ("path", "pieces", "length", "status"),
    [
        ("/gradio_api/call/draw", [b"12345"], "5", 200),
        ("/gradio_api/call/draw", [b"12345", b"12345"], None, 200),
        ("/gradio_api/call/draw", [b""], "11", 413),
        ("/gradio_api/call/draw", [b""], "many", 413),
        ("/gradio_api/call/draw", [b""], "1" * 5000, 413),
        ("/gradio_api/call/draw/8a3f", [b""], None, 200),
        ("/gradio_api/run/start", [b""], None, 200),
        ("/", [b""], None, 200),
        ("/assets/index.js", [b""], None, 200),
        ("/gradio_api/run/draw", [b""], None, 404),
        ("/gradio_api/call/start", [b""], None, 404),
        ("/gradio_api/process_recording", [b""], None, 404),
        ("/gradio_api/deep_link", [b""], None, 404),
        ("/gradio_api/component_server", [b""], None, 404),
        ("/gradio_api/run-history/records", [b""], None, 404),
        ("/monitoring", [b""], None, 404),
        ("//", [b""], None, 404),
        ("/gradio_api/call/draw", [b"12345", b"123456"], None, None),
        ("/gradio_api/upload", [b""], "0", 404),
        ("/gradio_api/file=/etc/passwd", [b""], None, 404),
        ("/gradio_api/proxy=http://example.org", [b""], None, 404),
    ],
)
def test_limits(path: str, pieces: list[bytes], length: str | None, status: int | None) -> None:
    assert ask(path, pieces, length) == status


def test_what_is_no_request() -> None:
    seen, sent = [], []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    async def send(message: Any) -> None:
        sent.append(message["type"])

    for kind in ("lifespan", "websocket"):
        asyncio.run(limited(app)({"type": kind, "path": "/"}, None, send))  # type: ignore[arg-type]
    assert seen == ["lifespan"] and sent == ["websocket.close"]
