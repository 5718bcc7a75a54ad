"""Measurements kept on disk until the evaluation is done, so that a killed one goes on."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from facecond.evaluation.generation import Arrays, Processes
from facecond.storage import atomic_file, make_folder


class Parts:
    """Arrays by name, made at most once.

    Args:
        folder: where they are kept, one file each; None keeps them in memory only.
        identity: hash of everything that they depend on; files of another identity are not used.
        processes: the first one reads and writes, all get the arrays.
    """

    def __init__(self, folder: Path | None, identity: str, processes: Processes) -> None:
        self.folder, self.identity, self.processes = folder, identity, processes
        self.made: dict[str, Arrays] = {}

    def get(self, name: str, make: Callable[[], Arrays]) -> Arrays:
        """The arrays of this name: from memory, from a file, or made now by all processes."""
        if name not in self.made:
            # Only one process looks: all must agree on whether there is something to do.
            found = self.processes.gather([self._read(name)] if self.processes.main else [])[0]
            if found is None:
                found = make()
                if self.processes.main and self.folder is not None:
                    self._write(name, found)
            self.made[name] = found
        return self.made[name]

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
