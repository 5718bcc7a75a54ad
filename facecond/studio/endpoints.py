"""What the page may call. Every answer is a JSON object; a fault is one too, in words."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from queue import Empty
from typing import Any

from facecond.data.masks import mask_png
from facecond.errors import UserError
from facecond.studio.attributes import surprise
from facecond.studio.codec import file_text, mask_from_text
from facecond.studio.edits import EditRequest, photo_to_edit, read_edit
from facecond.studio.limits import OPENING, QUICK, SEED
from facecond.studio.line import Event, Job, Line, in_words
from facecond.studio.references import reference_face
from facecond.studio.request import DrawRequest, mapping, read_request, token, whole
from facecond.studio.session import ModelSession
from facecond.studio.starts import FILES, Starts

Work = Callable[[Job], Event]

POLL_SECONDS = 0.2
LAST = ("done", "cancelled", "error")


class Endpoints:
    """The calls of one studio.

    `draw` and `edit` do their work for a machine, in the line: they yield `waiting`, `drawing`
    (drawings with previews), then one of `LAST`.
    """

    def __init__(self, session: ModelSession, starts: Starts, line: Line) -> None:
        self.session, self.starts, self.line = session, starts, line
        self.files, self.quick = Door(OPENING, "others are opening files"), Door(QUICK)

    def draw(self, value: dict, address: str = "") -> Iterator[dict]:
        """Draw faces (`read_request`)."""

        def work() -> tuple[DrawRequest, Work]:
            session = self.session
            trained = session.pipeline.unet.trained_routing
            request = read_request(
                value, session.image_size, session.sources, trained, session.taught
            )
            return request, lambda job: session.draw(request, job)

        return self._in_line(work, address)

    def edit(self, value: dict, address: str = "") -> Iterator[dict]:
        """Edit a photo (`read_edit`)."""

        def work() -> tuple[EditRequest, Work]:
            session = self.session
            trained, reads = session.pipeline.unet.trained_routing, session.reads
            request = read_edit(value, session.image_size, reads, trained, self.starts.reader)
            return request, lambda job: session.edit(request, job)

        return self._in_line(work, address)

    def _in_line(
        self, work: Callable[[], tuple[DrawRequest | EditRequest, Work]], address: str
    ) -> Iterator[dict]:
        """Queue up with a request that is read first; what becomes of it."""
        try:
            request, act = work()
            job = self.line.join(request.job, request.client, act, address)
        except Exception as error:
            yield in_words(error)
            return
        try:
            yield from self._events(job)
        finally:
            self.line.leave(job)

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
        is_file = isinstance(value, Mapping) and value.get("kind") in FILES
        door = self.files if is_file else self.quick
        return door(lambda: self.starts.make(mapping(value, "the request")))

    def reference(self, value: dict) -> dict:
        """A photo as the model sees it: `{"name", "content"}` -> `{"png", "name", "words"}`."""

        def made() -> dict:
            photos, size = self.starts.reader.photos, self.session.image_size
            if not self.session.taught:
                what = "this model was not trained with references"
                raise UserError(what, "reference", "Start the studio with one that was.")
            return reference_face(mapping(value, "the request"), photos, size)

        return self.files(made)

    def photo(self, value: dict) -> dict:
        """A photo to edit (`photo_to_edit`)."""

        def made() -> dict:
            wish = mapping(value, "the request")
            return photo_to_edit(wish, self.starts.reader, self.session.image_size)

        return self.files(made)

    def export(self, value: dict) -> dict:
        """The painted mask as a PNG of class ids: `{"mask": text}` -> `{"png": text}`."""

        def made() -> dict:
            mask = mask_from_text(mapping(value, "the request").get("mask"), self.starts.size)
            return {"png": file_text(mask_png(mask))}

        return self.quick(made)

    def surprise(self, value: dict) -> dict:
        """A few attributes that go together: `{"seed": n}` -> `{"attributes": {name: 1 or 0}}`."""
        return self.quick(lambda: {"attributes": surprise(whole(_seed(value), "seed", 0, SEED))})


class Door:
    """Lets a few calls in at a time. The others are turned away at once: calls that waited would
    take the server's threads from everybody.

    Args:
        places: calls inside.
        full: what those outside are told.
    """

    def __init__(self, places: int, full: str = "many people are asking at once") -> None:
        self._places, self._full = threading.BoundedSemaphore(places), full

    def __call__(self, make: Callable[[], dict]) -> dict:
        """`answered`, or the refusal."""
        if not self._places.acquire(blocking=False):
            return in_words(UserError(self._full, "studio", "Try again in a moment."))
        try:
            return answered(make)
        finally:
            self._places.release()


def answered(make: Callable[[], dict]) -> dict:
    """What `make` returns, or its fault in words."""
    try:
        return make()
    except Exception as error:
        return in_words(error)


def _job(value: Any) -> Any:
    return mapping(value, "the request").get("job")


def _seed(value: Any) -> Any:
    return mapping(value, "the request").get("seed")
