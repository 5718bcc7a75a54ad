"""Writes that survive a crash: temporary name, fsync, rename; hashes and manifests.

The temporary names begin with `.NAME.`; no message shows them.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from facecond.errors import UserError

MANY_FILES = 64
"""Above this, one sync of everything is faster than one per file."""


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it replaces `path` only if the block succeeds."""
    path = Path(path)
    with reported_as(path):
        prefix = f".{path.name}."
        handle, name = tempfile.mkstemp(prefix=prefix, suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            _fsync(temporary)
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
            _fsync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yield a temporary folder; it becomes `path` (replacing it) only if the block succeeds."""
    path = Path(path)
    with reported_as(path):
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        try:
            yield temporary
            publish_folder(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def reported_as(path: str | Path) -> Iterator[None]:
    """Let faults at the temporary files beside `path` name `path`: that is what the user knows."""
    path = Path(path)

    def is_temporary(name: object) -> bool:
        return any(part.startswith(f".{path.name}.") for part in Path(str(name)).parts)

    try:
        yield
    except UserError as error:
        if not is_temporary(error.where):
            raise
        raise UserError(error.what, path, error.fix) from None
    except OSError as error:
        full = error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT)
        if full or is_temporary(error.filename):
            error.filename = str(path)
        if is_temporary(error.filename2):
            error.filename2 = None
        raise
    except Exception as error:
        # safetensors tells faults of the system in words of its own.
        told = re.search(r"\(os error (\d+)\)", str(error))
        if told is None or not type(error).__module__.startswith("safetensors"):
            raise
        number = int(told.group(1))
        raise OSError(number, os.strerror(number), str(path)) from error


def publish_folder(temporary: str | Path, path: str | Path) -> None:
    """Sync a finished folder and rename it to `path` beside it, in place of a folder there."""
    temporary, path = Path(temporary), Path(path)
    files = [file for file in temporary.rglob("*") if file.is_file()]
    if len(files) > MANY_FILES:
        os.sync()
    else:
        for file in files:
            _fsync(file)
    temporary.chmod(0o777 & ~_umask())
    if path.exists():
        # A folder cannot replace a full one in a single rename: step the old one aside.
        aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.old.", dir=path.parent))
        path.replace(aside / path.name)
        temporary.replace(path)
        shutil.rmtree(aside, ignore_errors=True)
    else:
        temporary.replace(path)
    _fsync(path.parent)


def write_text(path: str | Path, text: str) -> None:
    """Atomically write `text` (UTF-8)."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Atomically write `value` as indented JSON."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read JSON; a missing or damaged file is a `UserError` that names it."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError("the file is missing", path, "Check the path.") from None
    except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, or nested too deeply
        raise UserError(f"not valid JSON ({error})", path, "Write the file anew.") from None


def read_json_lines(path: str | Path) -> list[dict[str, Any]]:
    """Read a JSON Lines file of objects. A last line that a crash cut short is left out; any other
    damage, or a missing file, is a `UserError` that names it."""
    try:
        lines = Path(path).read_bytes().splitlines()
    except FileNotFoundError:
        raise UserError("the file is missing", path, "Check the path.") from None
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError
            rows.append(row)
        except (ValueError, RecursionError):  # not JSON, or not UTF-8
            if number < len(lines):
                fix = "Remove the line."
                raise UserError(f"line {number} is no JSON object", path, fix) from None
    return rows


def sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def hash_of(value: Any) -> str:
    """SHA-256 of a JSON-serialisable value: the same value always has the same hash."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def make_folder(path: str | Path) -> Path:
    """Create a folder (with parents); an unwritable place is a `UserError`."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot create the folder ({error.strerror})", path, "Choose a writable place."
        ) from None
    if not os.access(path, os.W_OK):
        raise UserError("the folder is not writable", path, "Choose a writable place.")
    return path


def check_file_target(path: str | Path) -> None:
    """Raise `UserError` unless a file can be written there (its folder may still be to be made):
    for output that is due after long work. Leaves nothing behind."""
    path = Path(path)
    if os.path.isdir(path):  # unlike Path.is_dir, no error where a name is too long
        raise UserError("is a folder, not a file", path, "Name a file in it.")
    _try_to_write(path, path.parent)


def check_folder_target(path: str | Path) -> None:
    """Raise `UserError` unless a folder can be made there, or is there and takes files. Leaves
    nothing behind."""
    path = Path(path)
    there = os.path.isdir(path)
    if os.path.exists(path) and not there:
        raise UserError("is a file, not a folder", path, "Choose another folder.")
    _try_to_write(path, path if there else path.parent)


def _try_to_write(path: Path, folder: Path) -> None:
    """Make and remove a file of that name's length in the folder or the nearest one above it."""
    try:
        while not os.path.exists(folder):
            folder = folder.parent
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=folder)
        os.close(handle)
        os.unlink(name)
    except OSError as error:
        what = f"cannot be written ({error.strerror})"
        raise UserError(what, path, "Choose a writable place.") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
