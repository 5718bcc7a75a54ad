"""A pause after a wrong password: without it, a script could try thousands a second."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from weakref import WeakValueDictionary

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class LoginDelay:
    """ASGI middleware: attempts to sign in from one address are looked at one at a time, and after
    a wrong one the next waits.

    Args:
        app: what answers.
        seconds: pause after a wrong attempt.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], seconds: float) -> None:
        self.app, self.seconds = app, seconds
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].rstrip("/") != "/login":
            await self.app(scope, receive, send)
            return
        wrong = False

        async def noticed(message: Message) -> None:
            nonlocal wrong
            wrong = wrong or message.get("status", 200) >= 400
            await send(message)

        address = str((scope.get("client") or ("unknown",))[0])
        turn = self._turns.setdefault(address, asyncio.Lock())  # lives as long as it is used
        async with turn:
            await self.app(scope, receive, noticed)
            if wrong:
                await asyncio.sleep(self.seconds)
