"""After a wrong password the next attempt from the same address waits; others do not."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from facecond.studio.login_delay import LoginDelay

PAUSE = 0.2


async def login(scope: Any, receive: Any, send: Any) -> None:
    status = 200 if scope["password"] == "right" else 400
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def answered(*attempts: tuple[str, str], path: str = "/login") -> list[float]:
    """Attempts (address, password), all made at once -> seconds until each was answered."""

    async def all_at_once() -> list[float]:
        delay, begun = LoginDelay(login, PAUSE), time.monotonic()

        async def attempt(address: str, password: str) -> float:
            told: list[float] = []

            async def send(message: Any) -> None:
                told.append(time.monotonic() - begun)

            scope = {"type": "http", "path": path, "password": password, "client": (address, 1)}
            await delay(scope, None, send)  # type: ignore[arg-type]
            return told[0]

        return await asyncio.gather(*(attempt(*one) for one in attempts))

    return asyncio.run(all_at_once())


def test_wrong_attempts_of_an_address_wait_for_each_other() -> None:
    first, second, third = answered(("a", "wrong"), ("a", "wrong"), ("a", "right"))
    assert first < PAUSE <= second and third >= 2 * PAUSE


def test_nobody_else_waits() -> None:
    assert max(answered(("a", "wrong"), ("b", "right"), ("c", "wrong"))) < PAUSE
    assert max(answered(("a", "right"), ("a", "right"))) < PAUSE
    assert max(answered(("a", "wrong"), ("a", "wrong"), path="/config")) < PAUSE
