"""Many requests from several visitors at once against a studio of its own: none lost, memory flat.

The rounds of the other cases do not fit: here one request is one measurement, and requests hinder
each other on purpose. So the case gives its row itself, with the seconds of every request.
"""

from __future__ import annotations

import base64
import hashlib
import io
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from pathlib import Path
from queue import Empty, SimpleQueue
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

from facecond.benchmarks.checks import CheckFailed
from facecond.benchmarks.pipelines import untrained
from facecond.benchmarks.served import ServedStudio
from facecond.benchmarks.settings import Settings
from facecond.benchmarks.studio import wish_of
from facecond.benchmarks.timing import Spread
from facecond.benchmarks.work import work_of
from facecond.studio.app import require_gradio
from facecond.studio.session import ModelSession

VISITORS, FACES, STEPS = 8, 1, 4
REPEATED = 10
"""Every so many requests, one asks for what another one asked."""

Ask = Callable[[int, int], dict[str, Any]]
"""Number of the request, visitor -> the last event of the drawing."""


@dataclass(frozen=True)
class Answer:
    """What became of a request.

    Attributes:
        number: of the request.
        seconds: from the request to its last byte.
        ended: when that came, on the clock of `time.perf_counter`.
        resident_mib: memory of the studio then.
        picture: digest of the pixels.
        lost: why there is no picture; empty where there is one.
    """

    number: int
    seconds: float
    ended: float
    resident_mib: float
    picture: str = ""
    lost: str = ""


def rows(settings: Settings, case: str) -> list[dict[str, Any]]:
    """The row of the case: median, least and greatest are those of single requests.

    Raises:
        CheckFailed: a request was lost, or a face was not the one that was asked for.
        UserError: Gradio is not installed.
    """
    require_gradio()
    work = work_of("", settings)
    place = Path(tempfile.mkdtemp(prefix="facecond-benchmark-"))
    try:
        model = settings.model or untrained(place / "model", work, settings)
        described = ModelSession(model).described()
        with ServedStudio(model, place, settings.device) as studio:

            def ask(number: int, visitor: int) -> dict[str, Any]:
                wish = wish_of(work, settings, described, asked_by(number), FACES)
                names = {"job": f"job-{number:08d}", "client": f"visitor-{visitor}"}
                return studio.draw(wish | names | {"steps": STEPS}, visitor)

            measured = soaked(studio, ask, settings.requests)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    measured["facts"]["model"] = settings.model or "untrained"
    return [{"case": case, "contender": f"{VISITORS} visitors", **measured}]


def soaked(studio: ServedStudio, ask: Ask, requests: int) -> dict[str, Any]:
    """Ask, check, and give the figures of the row."""
    resident = partial(studio.memory, "VmRSS")
    # What the first requests allocate once is no growth.
    check(visit_all(ask, [-1 - visitor for visitor in range(VISITORS)], resident))
    handles, began = studio.open_files(), time.perf_counter()
    answers = visit_all(ask, range(requests), resident)
    spent = time.perf_counter() - began
    same = check(answers)
    seconds = [answer.seconds for answer in answers]
    memory = [answer.resident_mib for answer in answers]
    spread = Spread.of(seconds)
    return {
        "n": spread.n,
        "median_s": spread.median,
        "min_s": spread.least,
        "max_s": spread.greatest,
        "all_s": seconds,
        "resident_mib": memory,
        "units": FACES,
        "unit": "faces",
        "per_second": FACES * len(answers) / spent,
        "work": {},
        "facts": {
            "p95_s": float(np.percentile(seconds, 95).round(3)),
            "lost": 0,
            "same_again": same,
            **growth_of(memory),
            "open_files": f"{handles} to {studio.open_files()}",
            "files_left": sum(path.is_file() for path in studio.files.rglob("*")),
            "steps": STEPS,
        },
        "peak_mib": studio.memory("VmHWM"),
        "of": "process of the studio",
    }


def asked_by(number: int) -> int:
    """The request whose wish this one has: the last of every `REPEATED` repeats the first."""
    return number - REPEATED + 1 if number % REPEATED == REPEATED - 1 and number > 0 else number


def growth_of(resident: Sequence[float]) -> dict[str, float]:
    """Memory in MiB over the requests: medians of the first and of the last quarter, and how much
    more the last one is."""
    quarter = max(1, len(resident) // 4)
    first, last = median(resident[:quarter]), median(resident[-quarter:])
    return {
        "first_quarter_mib": round(first, 1),
        "last_quarter_mib": round(last, 1),
        "growth_mib": round(last - first, 1),
    }


def visit_all(ask: Ask, numbers: Sequence[int], seen: Callable[[], float]) -> list[Answer]:
    """Ask for all of them, `VISITORS` at a time; answers in the order in which they came.

    Args:
        seen: memory of the studio in MiB.
    """
    waiting: SimpleQueue[int] = SimpleQueue()
    for number in numbers:
        waiting.put(number)

    def visit(visitor: int) -> list[Answer]:
        found: list[Answer] = []
        while True:
            try:
                number = waiting.get_nowait()
            except Empty:
                return found
            picture, lost, began = "", "", time.perf_counter()
            try:
                picture = picture_of(ask(number, visitor))
            except (OSError, HTTPException, ValueError, KeyError, TypeError) as error:
                lost = f"{type(error).__name__}: {error}"
            ended = time.perf_counter()
            found.append(Answer(number, ended - began, ended, seen(), picture, lost))

    with ThreadPoolExecutor(VISITORS) as pool:
        answers = [answer for part in pool.map(visit, range(VISITORS)) for answer in part]
    return sorted(answers, key=lambda answer: answer.ended)


def picture_of(event: dict[str, Any]) -> str:
    """Digest of the pixels of a drawing's faces; raises `ValueError` unless there are `FACES`."""
    if event["state"] != "done" or len(event["faces"]) != FACES:
        raise ValueError(f"the studio answered {str(event)[:200]}")
    digest = hashlib.sha256()
    for face in event["faces"]:
        with Image.open(io.BytesIO(base64.b64decode(face["png"]))) as png:
            digest.update(np.asarray(png.convert("RGB")).tobytes())
    return digest.hexdigest()


def check(answers: Sequence[Answer]) -> int:
    """Check that no request was lost and that each has its own picture, which a repeated one has
    again; how many had it again.

    Raises:
        CheckFailed: it is not so.
    """
    lost = [answer for answer in answers if answer.lost]
    if lost:
        raise CheckFailed(f"{len(lost)} of {len(answers)} requests were lost ({lost[0].lost})")
    pictures = {answer.number: answer.picture for answer in answers}
    asked = {number: asked_by(number) for number in pictures}
    for number, first in asked.items():
        if pictures[number] != pictures[first]:
            raise CheckFailed(f"request {number} repeats {first}, and got another picture")
    if len(set(pictures.values())) != len(set(asked.values())):
        raise CheckFailed("two different requests got the same picture")
    return sum(number != first for number, first in asked.items())
