"""Tasks on a Ray cluster: a task of Ray for each, with its share of cores and GPUs.

The folder of the study must be one that all machines of the cluster see under the same path.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

from facecond.analysis.ablation.local import threads_each
from facecond.analysis.ablation.tasks import Event, Outcome, Retries, Task, one_line, perform
from facecond.errors import UserError

TICK_SECONDS = 1.0
GRACE_SECONDS = 120.0


class Ray:
    """Ray's tasks: on the cluster of RAY_ADDRESS or of this machine, else on a new local one.

    Args:
        workers: most tasks at a time; a new local cluster gets so many slots.
        retries: how often a task is tried again whose process or machine died.
        gpus: GPUs of each task, a share of one too.

    Raises:
        UserError: ray is not installed, or the cluster is not reachable.
    """

    def __init__(self, workers: int = 1, retries: int = 1, gpus: float = 0.0) -> None:
        try:
            import ray
        except ImportError:
            raise UserError(
                "ray is not installed", "--engine ray", 'Install it: pip install "facecond[ray]".'
            ) from None
        self.ray, self.workers, self.retries = ray, workers, retries
        self.threads = threads_each(workers) or 1
        if not ray.is_initialized():
            quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
            try:
                ray.init(address="auto", **quiet)
            except ConnectionError:
                try:
                    ray.init(num_cpus=workers * self.threads, include_dashboard=False, **quiet)
                except Exception as error:
                    raise UserError(
                        f"Ray does not start ({one_line(error)})", "--engine ray", "Start it first."
                    ) from None
        self.title = f"Ray, {workers} at a time"
        # A process for each task: nothing of one training is left for the next.
        self.remote = ray.remote(num_cpus=self.threads, num_gpus=gpus, max_retries=0, max_calls=1)(
            perform
        )

    def run(self, tasks: list[Task], stopped: Callable[[], int]) -> Iterator[Event | None]:
        """See `Engine`."""
        ray, waiting, retries = self.ray, list(tasks), Retries(self.retries)
        busy: dict[Any, Task] = {}
        asked = 0.0
        try:
            while waiting or busy:
                if stopped() and not busy:
                    return
                while waiting and len(busy) < self.workers and not stopped():
                    task = waiting.pop(0)
                    busy[self.remote.remote(task, self.threads)] = task
                    yield Event(task)
                if stopped() and not asked:
                    asked = time.monotonic()
                    for reference in busy:
                        ray.cancel(reference)  # SIGINT: a training saves its state
                ready, _ = ray.wait(list(busy), num_returns=1, timeout=TICK_SECONDS)
                for reference in ready:
                    task, outcome = busy.pop(reference), self._outcome(reference)
                    if not stopped() and retries.again(task, outcome):
                        waiting.insert(0, task)
                    else:
                        yield Event(task, outcome)
                if asked and time.monotonic() - asked > GRACE_SECONDS:
                    return
                yield None
        finally:
            for reference in busy:
                ray.cancel(reference, force=bool(asked))
            if busy:
                ray.wait(list(busy), num_returns=len(busy), timeout=GRACE_SECONDS)

    def _outcome(self, reference: Any) -> Outcome:
        exceptions = self.ray.exceptions
        try:
            told: Outcome = self.ray.get(reference)
            return told
        except exceptions.TaskCancelledError:
            return Outcome("interrupted", "stopped by a signal")
        except exceptions.RayTaskError as error:
            return Outcome("failed", one_line(error.cause or error))
        except exceptions.RayError as error:
            return Outcome("failed", f"its process died: {one_line(error)}", died=True)
