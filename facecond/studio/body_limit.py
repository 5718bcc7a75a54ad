"""A bound on the size of requests: without it, one upload could fill the memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

CLOSED = ("/gradio_api/upload", "/gradio_api/proxy=", "/gradio_api/file", "/gradio_api/stream")
"""Ways of Gradio that the studio has no use for: it keeps no files."""


class BodyLimit:
    """ASGI middleware: requests with larger bodies end with 413, those to `CLOSED` with 404.

    Args:
        app: what answers the others.
        largest: bytes of a body.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], largest: int) -> None:
        self.app, self.largest = app, largest

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["path"].startswith(CLOSED):
            await _refuse(send, 404)
            return
        sizes = [value for name, value in scope["headers"] if name == b"content-length"]
        if any(not size.isdigit() or int(size) > self.largest for size in sizes):
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


async def _refuse(send: Send, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b""})
