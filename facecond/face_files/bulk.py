"""Many faces by one process or several; a job that was stopped goes on where it was."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from facecond.data.parallel import ordered_map
from facecond.errors import UserError
from facecond.face_files.drawing import Artist, FaceRequest, Settings, batches
from facecond.face_files.record import read_face, same_request

_artists: dict[str, Artist] = {}
"""The one of this process."""


def finished(artist: Artist, requests: Sequence[FaceRequest], out: Path) -> dict[str, Any]:
    """Records by name of the faces that are there already, whole and drawn as asked for now."""
    found = {}
    for request in requests:
        path = out / f"{request.name}.png"
        if path.is_file():
            try:
                record = read_face(path)[1]
            except UserError:
                continue
            if same_request(record, artist.record(request)):
                found[request.name] = record
    return found


def draw_all(
    settings: Settings,
    artist: Artist,
    requests: Sequence[FaceRequest],
    out: Path,
    workers: int = 1,
    done: int = 0,
) -> Iterator[dict[str, Any]]:
    """Draw requests and write their files; yield the records, batch by batch.

    Args:
        artist: draws where there is one worker.
        workers: processes, each with its share of the cores, and of the GPUs; no more than there
            are batches.
        done: faces that were there already, for the progress bar.
    """
    parts = batches(requests, settings.batch_size)
    workers = min(workers, len(parts))
    if workers > 1:
        threads = max(1, (os.cpu_count() or 1) // workers)
        work = partial(draw_part, replace(settings, threads=threads), out)
    else:
        work = partial(_draw_with, artist, out)
    sizes = [len(part) for part in parts]
    records = ordered_map(work, parts, workers, "sample", done, chunk=1, count=lambda i: sizes[i])
    for batch in records:
        yield from batch


def draw_part(settings: Settings, out: Path, batch: Sequence[FaceRequest]) -> list[dict[str, Any]]:
    """Draw one batch in a worker; the model is loaded for its first one."""
    if settings.model not in _artists:
        _artists[settings.model] = Artist(settings, _device())
    return list(_artists[settings.model].write(batch, out))


def _draw_with(artist: Artist, out: Path, batch: Sequence[FaceRequest]) -> list[dict[str, Any]]:
    return list(artist.write(batch, out))


def _device() -> str:
    """The GPU of this worker, in turn, or the processor."""
    import torch

    if not torch.cuda.is_available():
        return "cpu"
    number = (multiprocessing.current_process()._identity or (1,))[0]
    return f"cuda:{(number - 1) % torch.cuda.device_count()}"
