"""One case in a process of its own: reads a request from standard input, writes the answer."""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from facecond.benchmarks import peers
from facecond.benchmarks.cases import CASES
from facecond.benchmarks.checks import CheckFailed, poisoned, same_work, verify
from facecond.benchmarks.contender import Contender, Entries
from facecond.benchmarks.machine import device_name
from facecond.benchmarks.settings import Settings
from facecond.benchmarks.timing import Spread, interleaved, ratios
from facecond.devices import zero_denormals
from facecond.errors import UserError


def measure(settings: Settings, case: str) -> dict[str, Any]:
    """All contenders of a case, side by side.

    Returns:
        `rows`: what was measured of each, as JSON values; `work`: what was equal; `device`.
    """
    if CASES[case].in_rounds:
        rows, work = _in_rounds(settings, case)
    else:
        rows, work = _module(settings, case).rows(settings, case), ""
    return {
        "rows": rows,
        "work": work,
        "device": device_name(_is_cuda(settings)),
        "threads": torch.get_num_threads(),
        "peers": {name: peers.commit_of(name) for name in settings.peers},
    }


def _in_rounds(settings: Settings, case: str) -> tuple[list[dict[str, Any]], str]:
    """Rows of contenders that take turns, and what is equal between them."""
    entries = _entries(settings, case)
    first, *others = entries
    groups = [[first, *others]]
    if CASES[case].in_pairs and others:
        groups = [[first, other] for other in others]
    rows: list[dict[str, Any]] = []
    work = ""
    for group in groups:
        found, work = _side_by_side(settings, case, {name: entries[name] for name in group})
        rows += found[1:] if rows else found
        gc.collect()
    return rows, work


def _side_by_side(
    settings: Settings, case: str, entries: Entries
) -> tuple[list[dict[str, Any]], str]:
    """Rows of contenders that are in memory together, and what is equal between them."""
    contenders = {name: make() for name, make in entries.items()}
    try:
        work = same_work({name: each.work for name, each in contenders.items()})
        before = {name: verify(name, each) for name, each in contenders.items()}
        spent = interleaved(contenders, settings.repeats, _is_cuda(settings), before)
    finally:
        for each in contenders.values():
            each.close()
    reference = next(iter(contenders))
    rows = [
        row_of(case, name, each, spent[name], reference, spent[reference])
        for name, each in contenders.items()
    ]
    return rows, work


def row_of(
    case: str,
    name: str,
    contender: Contender,
    spent: list[float],
    reference: str,
    reference_spent: list[float],
) -> dict[str, Any]:
    """One contender's figures: seconds, units per second, and how many times longer than the first
    one it took, round by round."""
    seconds = Spread.of(spent)
    found: dict[str, Any] = {
        "case": case,
        "contender": name,
        "n": seconds.n,
        "median_s": seconds.median,
        "min_s": seconds.least,
        "max_s": seconds.greatest,
        "all_s": spent,
        "units": contender.units,
        "unit": contender.unit,
        "per_second": contender.units / seconds.median,
        "work": dict(contender.work),
        "facts": contender.facts,
    }
    if name != reference:
        times = ratios(spent, reference_spent)
        found |= {
            "reference": reference,
            "reference_s": reference_spent,
            "ratio": times.median,
            "ratio_min": times.least,
            "ratio_max": times.greatest,
        }
    return found


def peak(settings: Settings, case: str, name: str) -> dict[str, Any]:
    """Peak memory of this process in MiB with one contender alone, after two runs.

    On a GPU that of its allocator. Beside it stands that of the process before the contender was
    made.
    """
    entries = _entries(settings, case)
    cuda = _is_cuda(settings)
    before = resident_peak()
    contender = entries[name]()
    try:
        for number in range(2):
            contender.run(contender.prepare(number), poisoned(contender.shape))
    finally:
        contender.close()
    if cuda:
        torch.cuda.synchronize()
        return {"peak_mib": torch.cuda.max_memory_allocated() / 2**20, "of": "GPU allocator"}
    return {"peak_mib": resident_peak(), "before_mib": before, "of": "process"}


def resident_peak() -> float:
    """Largest resident size of this process so far, in MiB.

    Linux counts in `ru_maxrss` also what the parent held when it started this process, so its own
    figure (VmHWM) is taken where there is one.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    import resource

    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest / (2**20 if sys.platform == "darwin" else 1024)


def _entries(settings: Settings, case: str) -> Entries:
    entries: Entries = _module(settings, case).entries(settings, case)
    return entries


def _module(settings: Settings, case: str) -> Any:
    """The module of a case, threads and peers being as they were asked for."""
    if settings.threads:
        torch.set_num_threads(settings.threads)
    peers.register(settings.peers)
    return importlib.import_module(f"facecond.benchmarks.{CASES[case].module}")


def _is_cuda(settings: Settings) -> bool:
    return (settings.device or ("cuda" if torch.cuda.is_available() else "cpu")) == "cuda"


@zero_denormals()  # for every contender, as in a training
def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """Measure what a request asks for; faults come back as values."""
    settings = Settings.from_dict(request["settings"])
    try:
        if request.get("only"):
            return peak(settings, request["case"], request["only"])
        return measure(settings, request["case"])
    except CheckFailed as error:
        return {"failed": str(error)}
    except UserError as error:
        return {"error": [error.what, error.where, error.fix]}


def main() -> None:
    """Answer on standard output; everything that is printed meanwhile goes to standard error."""
    request = json.loads(sys.stdin.read())
    # Libraries print below Python too: give the descriptor itself away.
    reply = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with contextlib.redirect_stdout(sys.stderr):
        found = answer(request)
    reply.write(json.dumps(found))
    reply.flush()


if __name__ == "__main__":
    main()
