"""What the page may call. Every answer is a JSON object; a fault is one too, in words."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from queue import Empty
from typing import Any

from facecond.data.masks import mask_png
from facecond.errors import UserError
from facecond.studio.attributes import surprise
from facecond.studio.codec import file_text, mask_from_text
from facecond.studio.limits import SEED
from facecond.studio.line import OUR_FAULT, Event, Job, Line
from facecond.studio.request import mapping, read_request, token, whole
from facecond.studio.session import ModelSession
from facecond.studio.starts import Starts

POLL_SECONDS = 0.2
LAST = ("done", "cancelled", "error")
LOG = logging.getLogger(__name__)


class Endpoints:
    """The calls of one studio."""

    def __init__(self, session: ModelSession, starts: Starts, line: Line) -> None:
        self.session, self.starts, self.line = session, starts, line

    def draw(self, value: dict) -> Iterator[dict]:
        """Draw faces: yields `waiting`, `drawing` (with previews), then one of `LAST`."""
        try:
            session = self.session
            trained = session.pipeline.unet.trained_routing
            request = read_request(value, session.image_size, session.sources, trained)
            job = self.line.join(
                request.job, request.client, lambda job: session.draw(request, job)
            )
        except Exception as error:
            yield in_words(error)
            return
        try:
            yield from self._events(job)
        finally:
            self.line.cancel(job.name)

    def _events(self, job: Job) -> Iterator[Event]:
        place = None
        while True:
            try:
                event = job.events.get(timeout=POLL_SECONDS)
                while event["state"] not in LAST and not job.events.empty():
                    event = {**event, **job.events.get()}  # the page shows the newest only
            except Empty:
                if (now := self.line.position(job)) and now != place:
                    place = now
                    yield {"state": "waiting", "position": now}
                continue
            if event["state"] in LAST:
                event.pop("previews", None)
            yield event
            if event["state"] in LAST:
                return

    def cancel(self, value: dict) -> dict:
        """Cancel a drawing: `{"job": name}`."""
        return answered(lambda: {"cancelled": self.line.cancel(token(_job(value)))})

    def start(self, value: dict) -> dict:
        """A mask to start from (`Starts.make`)."""
        return answered(lambda: self.starts.make(mapping(value, "the request")))

    def export(self, value: dict) -> dict:
        """The painted mask as a PNG of class ids: `{"mask": text}` -> `{"png": text}`."""

        def made() -> dict:
            mask = mask_from_text(mapping(value, "the request").get("mask"), self.starts.size)
            return {"png": file_text(mask_png(mask))}

        return answered(made)

    def surprise(self, value: dict) -> dict:
        """A few attributes that go together: `{"seed": n}` -> `{"attributes": {name: 1 or 0}}`."""
        return answered(lambda: {"attributes": surprise(whole(_seed(value), "seed", 0, SEED))})


def answered(make: Callable[[], dict]) -> dict:
    """What `make` returns, or its fault in words."""
    try:
        return make()
    except Exception as error:
        return in_words(error)


def in_words(error: Exception) -> Event:
    """An error as the page shows it: what a user did is named, the rest is logged."""
    if isinstance(error, UserError):
        return {"state": "error", "what": error.what, "fix": error.fix}
    LOG.error("a request failed", exc_info=error)
    return OUR_FAULT


def _job(value: Any) -> Any:
    return mapping(value, "the request").get("job")


def _seed(value: Any) -> Any:
    return mapping(value, "the request").get("seed")
