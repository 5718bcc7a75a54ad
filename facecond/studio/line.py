"""Who is next: one thread draws, a bounded number of requests wait, each can be cancelled."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from facecond.errors import UserError
from facecond.memory import WHAT, ran_out
from facecond.studio.limits import PLACES, WAITING

Event = dict[str, Any]

LOG = logging.getLogger(__name__)
OUR_FAULT = {
    "state": "error",
    "what": "Something went wrong on our side",
    "fix": "Try again; the server's log says what happened.",
}
LONGEST_WORDS = 300
"""Letters of a fault: what was sent may stand in it, and need not go back as a whole."""

REMEMBERED_SECONDS, REMEMBERED = 60.0, 1000
"""How long, and of how many jobs at most, it is known that they were cancelled before they came."""


class Cancelled(Exception):
    """Ends the work of a job that nobody wants any more."""


class Job:
    """One request in the line. `events` tells the page what becomes of it; the last one has the
    state `done`, `cancelled` or `error`."""

    def __init__(
        self, name: str, client: str, work: Callable[[Job], Event], address: str = ""
    ) -> None:
        self.name, self.client, self.work, self.address = name, client, work, address
        self.events: SimpleQueue[Event] = SimpleQueue()
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """Stop as soon as possible."""
        self._cancelled.set()

    def check(self) -> None:
        """Raise `Cancelled` when the job has been cancelled."""
        if self._cancelled.is_set():
            raise Cancelled


class Line:
    """First come, first served.

    Args:
        waiting: jobs that may wait behind the one at work.
        places: jobs that may come from one address at a time.
    """

    def __init__(self, waiting: int = WAITING, places: int = PLACES) -> None:
        self._waiting, self._places = waiting, places
        self._jobs: list[Job] = []  # the first is at work
        self._unwanted: dict[str, float] = {}  # cancelled before they came, oldest first: when
        self._change = threading.Condition()
        threading.Thread(target=self._serve, name="studio line", daemon=True).start()

    def join(self, name: str, client: str, work: Callable[[Job], Event], address: str = "") -> Job:
        """Queue up. A job that was cancelled before it came is over at once.

        Args:
            name: of the job, to cancel it by.
            client: page that asks; it may have one job in the line.
            address: machine that asks; unlike pages, it cannot be invented.

        Raises:
            UserError: the line is full, or has its share of this client or address already.
        """
        with self._change:
            if any(job.name == name for job in self._jobs):
                raise UserError("this request is in the line already", "line", "Reload the page.")
            if any(job.client == client for job in self._jobs):
                what = "your last request is still being drawn"
                raise UserError(what, "line", "Wait for it or cancel it.")
            if address and sum(job.address == address for job in self._jobs) >= self._places:
                what = f"{self._places} requests from your address are waiting already"
                raise UserError(what, "line", "Try again in a moment.")
            if len(self._jobs) > self._waiting:
                what = f"{len(self._jobs)} people are waiting already"
                raise UserError(what, "line", "Try again in a moment.")
            job = Job(name, client, work, address)
            if self._forget(name):
                job.events.put({"state": "cancelled"})
                return job
            self._jobs.append(job)
            self._change.notify_all()
            return job

    def position(self, job: Job) -> int:
        """How many jobs are before this one; 0 when it is at work or has left."""
        with self._change:
            return self._jobs.index(job) if job in self._jobs else 0

    def cancel(self, name: str) -> bool:
        """Cancel a job by name: at once where it waits, else after its present step. False when
        there is none of this name; one that comes within a minute is cancelled then."""
        with self._change:
            found = next((job for job in self._jobs if job.name == name), None)
            if found is None:
                self._forget(name)
                self._unwanted[name] = time.monotonic()
                return False
            self.leave(found)
            return True

    def leave(self, job: Job) -> None:
        """Cancel this job, if it is still in the line."""
        with self._change:
            job.cancel()
            if job in self._jobs[1:]:
                self._jobs.remove(job)
                job.events.put({"state": "cancelled"})

    def _forget(self, name: str) -> bool:
        """Whether a job was cancelled before it came; forgets it, and those of long ago."""
        oldest = time.monotonic() - REMEMBERED_SECONDS
        recent = {job: when for job, when in self._unwanted.items() if when > oldest}
        found = recent.pop(name, None) is not None
        self._unwanted = dict(list(recent.items())[-REMEMBERED:])
        return found

    def _serve(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: bool(self._jobs))
                job = self._jobs[0]
            event = self._outcome(job)
            with self._change:
                self._jobs.remove(job)
            job.events.put(event)

    def _outcome(self, job: Job) -> Event:
        try:
            job.check()
            return job.work(job)
        except Cancelled:
            return {"state": "cancelled"}
        except Exception as error:  # one bad request must not stop the line
            return in_words(error)


def in_words(error: Exception) -> Event:
    """An error as the page shows it: what a user did is named, the rest is logged."""
    if isinstance(error, UserError):
        return {"state": "error", "what": _cut(error.what), "fix": _cut(error.fix)}
    LOG.error("a request failed", exc_info=error)
    if ran_out(error):
        return {"state": "error", "what": WHAT, "fix": "Ask for fewer faces, or try again later."}
    return OUR_FAULT


def _cut(words: str) -> str:
    whole = words[:LONGEST_WORDS].rsplit(" ", 1)[0]
    return words if len(words) <= LONGEST_WORDS else f"{whole} ..."
