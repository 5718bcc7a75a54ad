"""Who is next: one thread draws, a bounded number of requests wait, each can be cancelled."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from facecond.errors import UserError
from facecond.studio.limits import WAITING

Event = dict[str, Any]

LOG = logging.getLogger(__name__)
OUR_FAULT = {
    "state": "error",
    "what": "Something went wrong on our side",
    "fix": "Try again; the server's log says what happened.",
}


class Cancelled(Exception):
    """Ends the work of a job that nobody wants any more."""


class Job:
    """One request in the line. `events` tells the page what becomes of it; the last one has the
    state `done`, `cancelled` or `error`."""

    def __init__(self, name: str, client: str, work: Callable[[Job], Event]) -> None:
        self.name, self.client, self.work = name, client, work
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
    """

    def __init__(self, waiting: int = WAITING) -> None:
        self._waiting = waiting
        self._jobs: list[Job] = []  # the first is at work
        self._change = threading.Condition()
        threading.Thread(target=self._serve, name="studio line", daemon=True).start()

    def join(self, name: str, client: str, work: Callable[[Job], Event]) -> Job:
        """Queue up; raises `UserError` when the line is full or the client has a job in it."""
        with self._change:
            if any(job.client == client for job in self._jobs):
                what = "your last request is still being drawn"
                raise UserError(what, "line", "Wait for it or cancel it.")
            if len(self._jobs) > self._waiting:
                what = f"{len(self._jobs)} people are waiting already"
                raise UserError(what, "line", "Try again in a moment.")
            job = Job(name, client, work)
            self._jobs.append(job)
            self._change.notify_all()
            return job

    def position(self, job: Job) -> int:
        """How many jobs are before this one; 0 when it is at work or has left."""
        with self._change:
            return self._jobs.index(job) if job in self._jobs else 0

    def cancel(self, name: str) -> bool:
        """Cancel a job by name: at once where it waits, else after its present step. False when
        there is none of this name."""
        with self._change:
            found = next((job for job in self._jobs if job.name == name), None)
            if found is None:
                return False
            found.cancel()
            if found is not self._jobs[0]:
                self._jobs.remove(found)
                found.events.put({"state": "cancelled"})
            return True

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
        except UserError as error:
            return {"state": "error", "what": error.what, "fix": error.fix}
        except Exception:  # one bad request must not stop the line
            LOG.exception("job %s failed", job.name)
            return OUR_FAULT
