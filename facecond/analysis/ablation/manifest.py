"""The manifest: every run of a study with its state, in one file.

What a run's folder says comes first: a finished run stays finished whatever the manifest says, so
nothing is lost when the sweep dies before it can write.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from facecond.analysis.ablation.plan import Run, done_record, identity
from facecond.analysis.ablation.tasks import Outcome
from facecond.config import Study
from facecond.errors import UserError
from facecond.provenance import commit, versions
from facecond.storage import make_folder, read_json, write_json

SCHEMA = "facecond.ablation/1"
FILE = "manifest.json"
STATES = ("missing", "running", "done", "failed")


@contextlib.contextmanager
def only_sweep(out: Path) -> Iterator[None]:
    """Hold the study's folder; a second sweep in it is a `UserError`."""
    lock = FileLock(make_folder(out) / ".sweep.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        fix = "Wait for it to end, or choose another --out."
        raise UserError("another sweep is at work in this folder", out, fix) from None
    try:
        yield
    finally:
        lock.release()


class Manifest:
    """OUT/manifest.json.

    Attributes:
        content: what the file holds; `runs` maps VARIANT/seed-N to `{variant, seed, config_hash,
            state, error, seconds, tries}`.
    """

    def __init__(self, out: Path, content: dict[str, Any]) -> None:
        self.file, self.content = out / FILE, content

    @classmethod
    def open(cls, study: Study, out: Path) -> Manifest:
        """The manifest of the study in `out`, or a new one; writes nothing.

        Raises:
            UserError: the folder holds another study: another base, data or judges.
        """
        content: dict[str, Any] = {
            "schema": SCHEMA,
            "study": study.name,
            "purpose": study.config.purpose,
            "reference": study.reference,
            "variants": {v.name: dict(v.changes) for v in study.variants},
            "identity": identity(study),
            "runs": {},
        }
        file = out / FILE
        if file.is_file():
            before = read_json(file)
            if not isinstance(before, dict) or before.get("schema") != SCHEMA:
                raise UserError("not the manifest of an ablation", file, "Choose another --out.")
            for part, settings in content["identity"].items():
                _check_same(part, before["identity"][part], settings, file)
            content = before | {key: content[key] for key in content if key != "runs"}
        return cls(out, content)

    @property
    def runs(self) -> dict[str, dict[str, Any]]:
        """Entries by name of the run."""
        found: dict[str, dict[str, Any]] = self.content["runs"]
        return found

    def take_in(self, runs: Sequence[Run], wanted: Mapping[str, str]) -> list[Run]:
        """Give every run an entry with the state that its folder shows. Returns the unfinished
        runs whose folders were begun with another config: nothing of them can be used.

        Args:
            runs: of the study.
            wanted: `data_hash` and `evaluation_hash` of a finished run, as far as they are known.

        Raises:
            UserError: a folder holds a finished run of another config.
        """
        outdated = []
        for run in runs:
            entry = self.runs.get(run.name, {"seconds": 0.0, "tries": 0, "error": ""})
            found = done_record(run) or {}
            if found.get("config_hash", run.config_hash) != run.config_hash:
                raise UserError(
                    f"variant '{run.variant}' was another training when this run was made",
                    run.folder,
                    "Remove the folder of this variant, give it a new name, or choose another "
                    "--out.",
                )
            if entry.get("config_hash", run.config_hash) != run.config_hash:
                outdated.append(run)
                entry = {"seconds": 0.0, "tries": 0, "error": ""}
            state = entry.get("state", "missing")
            if found and all(found.get(key) == value for key, value in wanted.items()):
                state = "done"
            elif state in ("running", "done"):  # of a sweep that died, or scored in another way
                state = "missing"
            told = {"variant": run.variant, "seed": run.seed, "config_hash": run.config_hash}
            error = entry["error"] if state == "failed" else ""
            self.runs[run.name] = entry | told | {"state": state, "error": error}
        return outdated

    def begin(self, run: Run) -> None:
        """Note that a run is at work."""
        entry = self.runs[run.name]
        entry |= {"state": "running", "error": "", "tries": entry["tries"] + 1}
        entry["began"] = time.strftime("%Y-%m-%d %H:%M:%S")
        self.write()

    def end(self, run: Run, outcome: Outcome) -> None:
        """Note how a run ended."""
        entry = self.runs[run.name]
        state = "missing" if outcome.state == "interrupted" else outcome.state
        entry |= {"state": state, "error": outcome.error if state == "failed" else ""}
        entry["seconds"] = round(entry["seconds"] + outcome.seconds, 1)
        entry["commit"] = self.content.get("commit", "unknown")
        self.write()

    def write(self) -> None:
        """Write the file, atomically."""
        write_json(self.file, self.content)

    def stamp(self) -> None:
        """Note the code that works from now on."""
        self.content |= {"commit": commit(), "versions": versions()}

    def counts(self, runs: Sequence[Run]) -> dict[str, int]:
        """State -> how many of these runs."""
        states = [self.runs[run.name]["state"] for run in runs]
        return {state: states.count(state) for state in STATES}


def _check_same(part: str, before: Mapping[str, Any], now: Mapping[str, Any], file: Path) -> None:
    for key in sorted({*before, *now}):
        if before.get(key) != now.get(key):
            values = ", ".join(
                "nothing" if v is None else f"{v}" if len(str(v)) <= 40 else "another text"
                for v in (before.get(key), now.get(key))
            )
            raise UserError(
                f"the folder holds runs of another {part} ({key}: {values})",
                file,
                "Choose another --out.",
            )
