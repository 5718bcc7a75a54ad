"""The folder beside the one being made: what a killed run finished, the next run keeps.

.NAME.partial/
  lock            held by the run that writes
  journal.jsonl   identity of the work; then a line per entry: key, hashes of its files, row
  data/           becomes NAME when everything is there
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Mapping
from hashlib import sha256 as new_sha256
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout
from tqdm import tqdm

from facecond.errors import UserError
from facecond.storage import make_folder, publish_folder, sha256, write_text

CHUNK = 256
"""Entries per write of the journal; a run that fails with fewer of them leaves nothing behind."""

Entry = dict[str, Any]
"""A finished entry: name, key, files (path -> SHA-256), row (any JSON value)."""


class WorkFolder:
    """Files written entry by entry, published as a folder when all are there.

    A run that is killed leaves its work folder; the next run of the same identity keeps every
    entry whose key is the same and whose files are intact, and drops the rest.

    Args:
        out: the folder to make; its parent must exist.
        identity: what all entries depend on: settings, versions. Work of another one is dropped.
        chunk: entries per write of the journal.

    Raises:
        UserError: another run is writing the same folder.

    Attributes:
        folder: where the files lie until `publish`.
        entries: the finished entries by name.
    """

    def __init__(self, out: Path, identity: str, chunk: int = CHUNK) -> None:
        self.out, self.identity, self.chunk = out, identity, chunk
        self.path = out.parent / f".{out.name}.partial"
        self.folder = self.path / "data"
        self.entries: dict[str, Entry] = {}
        self._journal = self.path / "journal.jsonl"
        self._pending: list[Entry] = []
        self._resumable = self._published = False
        self._lock = FileLock(self.path / "lock", timeout=0)

    def __enter__(self) -> WorkFolder:
        make_folder(self.path)
        try:
            self._lock.acquire()
        except Timeout:
            fix = "Wait for it to end, or choose another folder."
            raise UserError("another run is writing this folder", self.out, fix) from None
        return self

    def restore(self, keys: Mapping[str, str]) -> None:
        """Keep the entries of an earlier run that `keys` (name -> key) asks for; drop the rest.

        Without keys nobody could go on, so a failure leaves nothing behind.
        """
        self._resumable = bool(keys)
        self.folder.mkdir(exist_ok=True)
        wanted = [entry for entry in self._read() if keys.get(entry["name"]) == entry["key"]]
        shown = tqdm(wanted, desc="checking what is done", unit="img", disable=not wanted)
        self.entries = {entry["name"]: entry for entry in shown if self._is_intact(entry)}
        kept = {file for entry in self.entries.values() for file in entry["files"]}
        for path in self.folder.rglob("*"):
            if path.is_file() and path.relative_to(self.folder).as_posix() not in kept:
                path.unlink()
        lines = [{"identity": self.identity}, *self.entries.values()]
        write_text(self._journal, "".join(json.dumps(line) + "\n" for line in lines))

    def add(self, name: str, key: str, files: Mapping[str, bytes], row: Any) -> None:
        """Write the files of an entry (path within the folder -> content)."""
        hashes = {file: self.write(file, content) for file, content in files.items()}
        entry = {"name": name, "key": key, "files": hashes, "row": row}
        self.entries[name] = entry
        self._pending.append(entry)
        if len(self._pending) >= self.chunk:
            self._flush()

    def write(self, file: str, content: bytes) -> str:
        """Write one file that belongs to no entry; returns its SHA-256."""
        (self.folder / file).write_bytes(content)
        return new_sha256(content).hexdigest()

    def publish(self) -> None:
        """Give the folder its name."""
        publish_folder(self.folder, self.out)
        self._published = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.is_kept:
            with contextlib.suppress(OSError):  # a full disk: what the journal holds is enough
                self._flush()
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
            self._journal.unlink(missing_ok=True)
            # Before the lock is let go: a run that starts then makes its own.
            shutil.rmtree(self.path, ignore_errors=True)
        self._lock.release()

    @property
    def is_kept(self) -> bool:
        """Whether an end at this moment would leave work that the next run goes on from."""
        return self._resumable and not self._published and len(self.entries) >= self.chunk

    def _flush(self) -> None:
        # The files themselves are not synced: the hashes find what a power cut took away.
        with open(self._journal, "a", encoding="utf-8") as file:
            file.writelines(json.dumps(entry) + "\n" for entry in self._pending)
            file.flush()
            os.fsync(file.fileno())
        self._pending = []

    def _read(self) -> list[Entry]:
        """The entries of the journal up to a line that a crash cut short; [] if of other work."""
        lines: list[Entry] = []
        if self._journal.is_file():
            for line in self._journal.read_bytes().splitlines():
                try:
                    lines.append(json.loads(line))
                except ValueError:
                    break
        return lines[1:] if lines and lines[0] == {"identity": self.identity} else []

    def _is_intact(self, entry: Entry) -> bool:
        files = entry["files"].items()
        try:
            return all(sha256(self.folder / file) == value for file, value in files)
        except OSError:
            return False
