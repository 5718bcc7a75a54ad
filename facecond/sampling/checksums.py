"""Checksums of a saved model's weights: a flipped bit in a file that still loads is found."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from facecond.errors import UserError
from facecond.storage import read_json, sha256, write_json

FILE = "checksums.json"


def write_checksums(folder: Path) -> None:
    """Write the SHA-256 of every weights file of a model folder beside them."""
    files = sorted(folder.rglob("*.safetensors"))
    write_json(folder / FILE, {file.relative_to(folder).as_posix(): sha256(file) for file in files})


def require_checksums(folder: Path) -> None:
    """Make sure that every weights file of a model folder has a checksum; none is compared.

    Raises:
        UserError: a file without one; checksums that are missing or damaged.
    """
    if not (folder / FILE).is_file():
        raise UserError("the checksums are missing", folder / FILE, "Install facecond anew.")
    there = {file.relative_to(folder).as_posix() for file in folder.rglob("*.safetensors")}
    for name in sorted(there - set(_read(folder))):
        raise UserError("the weights have no checksum", folder / name, "Install facecond anew.")


def check_weights(folder: Path, without: Collection[str] = ()) -> None:
    """Compare a model folder's weights with their checksums, if it has any.

    Args:
        without: parts that are not read from it.

    Raises:
        UserError: a file that is missing or is not what was saved; checksums that are damaged.
    """
    if not (folder / FILE).is_file():
        return
    for name, wanted in _read(folder).items():
        if name.split("/")[0] in without:
            continue
        if not (folder / name).is_file():
            raise UserError("the weights are missing", folder / name, "Copy the model anew.")
        if sha256(folder / name) != wanted:
            fix = f"The file is damaged or was replaced by hand ({FILE}): copy the model anew."
            raise UserError("the weights are not those that were saved", folder / name, fix)


def _read(folder: Path) -> dict[str, str]:
    wanted = read_json(folder / FILE)
    if not isinstance(wanted, dict):
        raise UserError("the checksums are damaged", folder / FILE, "Copy the model anew.")
    return wanted
