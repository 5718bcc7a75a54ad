"""Tasks on this machine: a process for each, several at a time, threads split among them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any

from facecond.analysis.ablation.tasks import Event, Outcome, Retries, Task, dead, perform

TICK_SECONDS = 1.0
GRACE_SECONDS = 120.0
"""Tasks that are asked to end get this long to save their state."""


class Local:
    """Up to `workers` processes at a time; a process that dies is tried `retries` times more."""

    def __init__(self, workers: int = 1, retries: int = 0) -> None:
        self.workers, self.retries = workers, retries
        self.title = f"{workers} process{'es' if workers > 1 else ''}"

    def run(self, tasks: list[Task], stopped: Callable[[], int]) -> Iterator[Event | None]:
        """See `Engine`."""
        waiting, retries = list(tasks), Retries(self.retries)
        busy: dict[int, _Child] = {}
        context, devices, share = _context(), _devices(), threads_each(self.workers)
        try:
            while waiting or busy:
                if stopped() and not busy:
                    return
                free = [slot for slot in range(self.workers) if slot not in busy]
                for slot in free if not stopped() else []:
                    if waiting:
                        device = devices[slot % len(devices)] if devices else None
                        busy[slot] = _Child(context, waiting.pop(0), share, device)
                        yield Event(busy[slot].task)
                if stopped():
                    for child in busy.values():
                        child.ask_to_end()
                wait([child.process.sentinel for child in busy.values()], TICK_SECONDS)
                for slot, child in list(busy.items()):
                    if child.process.is_alive():
                        continue
                    del busy[slot]
                    outcome = child.outcome()
                    if not stopped() and retries.again(child.task, outcome):
                        waiting.insert(0, child.task)
                    else:
                        yield Event(child.task, outcome)
                yield None
        finally:
            for child in busy.values():
                child.ask_to_end()
            for child in busy.values():
                child.end()


class _Child:
    def __init__(self, context: Any, task: Task, threads: int, device: str | None) -> None:
        self.task, self.began, self.asked = task, time.monotonic(), 0.0
        self.receiver, sender = context.Pipe(duplex=False)
        self.process = context.Process(
            target=_work, args=(task, threads, device, sender), name=task.name
        )
        self.process.start()
        sender.close()

    def ask_to_end(self) -> None:
        """SIGTERM once; SIGKILL to one that does not end."""
        if not self.asked:
            self.asked = time.monotonic()
            self.process.terminate()
        elif time.monotonic() - self.asked > GRACE_SECONDS:
            self.process.kill()

    def end(self) -> None:
        self.process.join(GRACE_SECONDS)
        self.process.kill()
        self.process.join()

    def outcome(self) -> Outcome:
        self.process.join()
        try:
            told: Outcome = self.receiver.recv()
            return told
        except (EOFError, OSError):
            if self.asked:
                return Outcome("interrupted", "stopped by a signal")
            return dead(self.process.exitcode)
        finally:
            self.receiver.close()


def threads_each(workers: int) -> int:
    """Threads of each of `workers` processes; 0 leaves OMP_NUM_THREADS to say it."""
    if os.environ.get("OMP_NUM_THREADS"):
        return 0
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        cores = os.cpu_count() or 1
    return max(1, cores // workers)


def _work(task: Task, threads: int, device: str | None, sender: Connection) -> None:
    """The whole life of a child."""
    if device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = device
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    outcome = perform(task, threads)
    try:
        sender.send(outcome)
    except OSError:  # the sweep is gone
        os._exit(1)


def _end_with(parent: int) -> None:
    """When the sweep is killed its runs must not go on behind the back of the next sweep."""
    wait([parent])
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(1)


def _context() -> Any:
    """Processes that begin with all modules loaded, or from nothing where a GPU forbids a fork."""
    import torch

    methods = multiprocessing.get_all_start_methods()
    if "forkserver" not in methods or torch.cuda.is_available():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["facecond.analysis.ablation.work"])
    return context


def _devices() -> list[str]:
    """Numbers of the GPUs that the processes may share out."""
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()
    return visible.split(",")[:count] if visible else [str(number) for number in range(count)]
