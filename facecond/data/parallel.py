"""Ordered map over processes with a progress bar: the result never depends on the workers."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import Any, TypeVar

from tqdm import tqdm

from facecond.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")

CHUNK = 16
"""Items a process takes at a time."""


def ordered_map(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int | None,
    description: str,
    done: int = 0,
    chunk: int = CHUNK,
    count: Callable[[int], int] = lambda number: 1,
) -> Iterator[Result]:
    """Yield `function(item)` for each item, in order.

    Args:
        function: a picklable function (of a module, or a `functools.partial` of one).
        items: what to map over; each is sent to the process that works on it.
        workers: processes; None means one per core, 1 means this process.
        description: label of the progress bar, which counts images.
        done: images that an earlier run finished; the progress bar begins there.
        chunk: items a process takes at a time.
        count: number of an item -> its images.

    Raises:
        UserError: the first one, in the order of the items, that `function` raised; or a worker
            process died.
    """
    workers = min(workers or os.cpu_count() or 1, -(-len(items) // chunk))
    total = sum(map(count, range(len(items)))) + done
    with tqdm(total=total, initial=done, desc=description, unit="img") as bar:
        results = map(function, items) if workers <= 1 else _pooled(function, items, workers, chunk)
        for number, result in enumerate(results):
            yield result
            bar.update(count(number))


def _pooled(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int, chunk: int
) -> Iterator[Result]:
    # Spawned, not forked: a fork of a process whose libraries hold threads (OpenCV, torch) hangs.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_start_worker)
    waiting: deque[Future[tuple[list[Any], tuple[str, str, str] | None]]] = deque()
    try:
        for start in range(0, len(items), chunk):
            waiting.append(pool.submit(_run_chunk, function, items[start : start + chunk]))
            if len(waiting) >= 4 * workers:  # bounds what finished results may hold in memory
                yield from _unpack(waiting.popleft())
        while waiting:
            yield from _unpack(waiting.popleft())
    except BrokenProcessPool:
        fix = "Use fewer workers: they may have run out of memory."
        raise UserError("a worker process died", "--workers", fix) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    # Ctrl-C reaches the whole process group: the parent handles it and stops the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import cv2

    cv2.setNumThreads(1)  # one process per core is enough


def _end_with_parent() -> None:
    # A parent that is killed cannot stop its workers: they would wait for work for ever.
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _run_chunk(
    function: Callable[[Item], Result], items: Sequence[Item]
) -> tuple[list[Result], tuple[str, str, str] | None]:
    results: list[Result] = []
    for item in items:
        try:
            results.append(function(item))
        except UserError as error:  # sent as plain words, so that it survives pickling
            return results, (error.what, error.where, error.fix)
    return results, None


def _unpack(future: Future[tuple[list[Result], tuple[str, str, str] | None]]) -> Iterator[Result]:
    results, failure = future.result()
    yield from results
    if failure is not None:
        raise UserError(*failure)
