"""All cases, one after the other, each in a process of its own; their memory, their files.

This process stays light: what it held would count as its children's memory on some systems.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from facecond.benchmarks.cases import CASES
from facecond.benchmarks.machine import machine
from facecond.benchmarks.settings import Settings
from facecond.errors import UserError
from facecond.provenance import commit, versions
from facecond.storage import make_folder, write_json

SCHEMA = "facecond.benchmark/1"
Answer = dict[str, Any]
Ask = Callable[[Settings, str, str], Answer]
"""Settings, case, contender (empty = all, side by side) -> what `worker.answer` gives."""


def ask(settings: Settings, case: str, only: str = "") -> Answer:
    """Measure a case in a fresh process.

    Raises:
        UserError: the input is at fault, or the process died; the message says how.
    """
    request = {"settings": settings.to_dict(), "case": case, "only": only}
    environment = dict(os.environ)
    if settings.threads:
        environment["OMP_NUM_THREADS"] = str(settings.threads)
    done = subprocess.run(
        [sys.executable, "-m", "facecond.benchmarks.worker"],
        input=json.dumps(request), capture_output=True, text=True,
        env=environment, check=False,
    )  # fmt: skip
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        code = done.returncode
        fix = "It may have run out of memory." if code < 0 else "Run it alone with --repeats 1."
        raise UserError(f"its process ended with {code} ({last[:200]})", case, fix)
    answer: Answer = json.loads(done.stdout)
    if "error" in answer:
        raise UserError(*answer["error"])
    return answer


def run_cases(
    settings: Settings, cases: Sequence[str], out: Path, ask: Ask = ask
) -> Iterator[Answer]:
    """Measure cases; each is written to `out/CASE.json` when it is done.

    Yields:
        The content of that file: `rows`, and what they were measured with. A case whose checks
        failed has `failed` and no rows, and no file.

    Raises:
        UserError: the input is at fault, or a process died.
    """
    make_folder(out)
    about = {"schema": SCHEMA, "commit": commit(), "versions": versions()}
    for case in cases:
        # Read before the case runs: afterwards the load is its own.
        found: Answer = {"case": case, **about, "machine": machine()}
        found |= {"settings": settings.to_dict()} | ask(settings, case, "")
        if "failed" not in found:
            if CASES[case].measures_memory:
                for row in found["rows"]:
                    row |= ask(settings, case, row["contender"])
            write_json(out / f"{case}.json", found)
        yield found
