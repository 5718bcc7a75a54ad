"""Measurements kept on disk until the evaluation is done, so that a killed one goes on.

All processes measure together; the first one alone holds what was measured.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from facecond.errors import UserError
from facecond.evaluation.generation import Arrays, Processes
from facecond.storage import atomic_file, make_folder


class Parts:
    """Arrays by name, made at most once.

    Args:
        folder: where they are kept, one file each; None keeps them in memory only.
        identity: hash of everything that they depend on; files of another identity are not used.
        processes: the first one reads, writes and gets the arrays; the others get none.

    Attributes:
        closed: everything is measured: the other processes have gone, and nothing can be added.
    """

    def __init__(self, folder: Path | None, identity: str, processes: Processes) -> None:
        self.folder, self.identity, self.processes = folder, identity, processes
        self.made: dict[str, Arrays] = {}
        self.closed = False

    def get(self, name: str, make: Callable[[], Arrays]) -> Arrays:
        """The arrays of this name: from memory, from a file, or made now by all processes."""
        if name not in self.made:
            self.check_open(name)
            found = self._read(name) if self.processes.main else None
            # Only one process looks: all must agree on whether there is something to do.
            if not self.processes.broadcast(found is not None):
                found = make()
                if self.processes.main and self.folder is not None:
                    self._write(name, found)
            self.made[name] = {} if found is None else found
        return self.made[name]

    def check_open(self, name: str) -> None:
        """Raise `RuntimeError` when it is too late to measure: the others would be waited for."""
        if self.closed:
            raise RuntimeError(f"'{name}' is read by a score, but no probe measured it")

    def clear(self) -> None:
        """Remove the files: the evaluation is done."""
        if self.folder is not None and self.processes.main:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _read(self, name: str) -> Arrays | None:
        if self.folder is None or not (path := self.folder / f"{name}.npz").is_file():
            return None
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {key: file[key] for key in file.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):  # cut short: made anew
            return None
        return arrays if str(arrays.pop("identity", "")) == self.identity else None

    def _write(self, name: str, arrays: Arrays) -> None:
        assert self.folder is not None
        make_folder(self.folder)
        with atomic_file(self.folder / f"{name}.npz") as temporary:
            np.savez(temporary, **arrays, identity=np.array(self.identity))  # type: ignore[arg-type]


@contextmanager
def removed_on_fault(unfinished: Path, *folders: Path) -> Iterator[None]:
    """Folders that the block makes go again when a `UserError` ends it. But where the samples are
    among the measurements in `unfinished`, everything stays, and the error says what for."""
    new = [first for first in map(_first_missing, (unfinished, *folders)) if first is not None]
    try:
        yield
    except UserError as error:
        if (unfinished / "samples.npz").is_file():
            fix = f"{error.fix} The same command then goes on from {unfinished}."
            raise UserError(error.what, error.where, fix) from None
        for folder in new:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _first_missing(path: Path) -> Path | None:
    """The uppermost folder on the way to `path` that is not there; None when all are."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    return missing[-1] if missing else None
