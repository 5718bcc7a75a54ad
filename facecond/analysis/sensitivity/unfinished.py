"""Measurements kept on disk until an analysis is done, so that a killed one goes on."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from facecond.errors import UserError
from facecond.storage import atomic_file, hash_of, make_folder, read_json, write_json

Arrays = dict[str, np.ndarray]


class Unfinished:
    """Parts of an analysis by name, each made at most once; with a folder they stay out of memory.

    Args:
        folder: where the parts are kept, one file each; None keeps them in memory.
        identity: all that they depend on, as JSON values by name.

    Raises:
        UserError: the folder holds parts of another identity.
    """

    def __init__(self, folder: Path | None, identity: Mapping[str, Any]) -> None:
        self.folder, self._memory = folder, dict[str, Arrays]()
        self._hash = hash_of(dict(identity))
        if folder is None:
            return
        note = make_folder(folder) / "identity.json"
        if not note.is_file():
            write_json(note, dict(identity))
        began = read_json(note)
        began = began if isinstance(began, dict) else {}
        for key in identity:
            if began.get(key) != identity[key]:
                raise UserError(
                    f"an analysis with another '{key}' was begun here ({_short(began.get(key))}, "
                    f"now {_short(identity[key])})",
                    folder,
                    "Finish that one, remove the folder, or choose another --out.",
                )

    def make(self, name: str, work: Callable[[], Arrays]) -> None:
        """Make a part and keep it."""
        found = work()
        if self.folder is None:
            self._memory[name] = found
            return
        with atomic_file(self.folder / f"{name}.npz") as temporary:
            np.savez(temporary, **found, identity=np.array(self._hash))  # type: ignore[arg-type]

    def read(self, name: str, keys: tuple[str, ...] | None = None) -> Arrays | None:
        """Arrays of a part (all, or some of them), None where there is no such part."""
        if self.folder is None:
            part = self._memory.get(name)
            return part if part is None or keys is None else {key: part[key] for key in keys}
        path = self.folder / f"{name}.npz"
        try:
            with np.load(path, allow_pickle=False) as file:
                if str(file["identity"]) != self._hash:
                    return None
                names = [key for key in file.files if key != "identity"] if keys is None else keys
                return {key: file[key] for key in names}
        except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
            return None  # missing, or cut short: made anew

    def need(self, name: str, keys: tuple[str, ...] | None = None) -> Arrays:
        """`read` of a part that was made; a `UserError` where it cannot be read back."""
        found = self.read(name, keys)
        if found is None:
            raise UserError(
                f"the part {name} was written and cannot be read back",
                self.folder or "memory",
                "Check the disk, and that nothing else writes there.",
            )
        return found

    def clear(self) -> None:
        """Remove the files: the analysis is done."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def _short(value: Any) -> str:
    text = str(value)
    return text[:12] if len(text) == 64 else text[:60]
