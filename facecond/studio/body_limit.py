"""What reaches the server at all: the few ways that the page takes, and bodies of bounded size."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

WAYS = frozenset(
    {
        "/", "/login", "/login/", "/config", "/theme.css", "/favicon.ico", "/manifest.json",
        "/robots.txt", "/gradio_api/startup-events",
    }
)  # fmt: skip
FOLDERS = ("/assets/", "/static/")
"""Ways of Gradio that the page takes beside its calls. Gradio has many more, for files, recordings,
components, histories: the studio has no use for them."""

LONGEST_LENGTH = 12
"""Digits of a length that is read."""


class BodyLimit:
    """ASGI middleware: requests with larger bodies end with 413, those by other ways with 404.

    Args:
        app: what answers the others.
        largest: bytes of a body.
        calls: names of the page's calls that are answered at once.
        streams: names of those that are answered in events.
    """

    def __init__(
        self,
        app: Callable[..., Awaitable[None]],
        largest: int,
        calls: Sequence[str],
        streams: Sequence[str],
    ) -> None:
        self.app, self.largest = app, largest
        self._ways = WAYS | {f"/gradio_api/run/{name}" for name in calls}
        self._ways |= {f"/gradio_api/call/{name}" for name in streams}
        self._folders = FOLDERS + tuple(f"/gradio_api/call/{name}/" for name in streams)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        if scope["path"] not in self._ways and not scope["path"].startswith(self._folders):
            await _refuse(send, 404)
            return
        sizes = [value for name, value in scope["headers"] if name == b"content-length"]
        if any(not self._is_small(size) for size in sizes):
            await _refuse(send, 413)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.largest:  # sent in pieces, without a length
                return {"type": "http.disconnect"}
            return message

        await self.app(scope, counted, send)

    def _is_small(self, length: bytes) -> bool:
        return length.isdigit() and len(length) <= LONGEST_LENGTH and int(length) <= self.largest


async def _refuse(send: Send, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b""})
