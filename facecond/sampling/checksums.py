"""Checksums of a saved model's weights: a flipped bit in a file that still loads is found."""

from __future__ import annotations

from pathlib import Path

from facecond.errors import UserError
from facecond.storage import read_json, sha256, write_json

FILE = "checksums.json"


def write_checksums(folder: Path) -> None:
    """Write the SHA-256 of every weights file of a model folder beside them."""
    files = sorted(folder.rglob("*.safetensors"))
    write_json(folder / FILE, {file.relative_to(folder).as_posix(): sha256(file) for file in files})


def check_weights(folder: Path, required: bool = False) -> None:
    """Compare a model folder's weights with their checksums, if it has any.

    Args:
        required: whether it must have some, one for each file.

    Raises:
        UserError: a file that is missing or is not what was saved; checksums that are missing or
            damaged.
    """
    if not (folder / FILE).is_file():
        if required:
            raise UserError("the checksums are missing", folder / FILE, "Install facecond anew.")
        return
    wanted_by_name = read_json(folder / FILE)
    if not isinstance(wanted_by_name, dict):
        raise UserError("the checksums are damaged", folder / FILE, "Copy the model anew.")
    if required:
        there = {file.relative_to(folder).as_posix() for file in folder.rglob("*.safetensors")}
        for name in sorted(there - set(wanted_by_name)):
            raise UserError("the weights have no checksum", folder / name, "Install facecond anew.")
    for name, wanted in wanted_by_name.items():
        if not (folder / name).is_file():
            raise UserError("the weights are missing", folder / name, "Copy the model anew.")
        if sha256(folder / name) != wanted:
            fix = f"The file is damaged or was replaced by hand ({FILE}): copy the model anew."
            raise UserError("the weights are not those that were saved", folder / name, fix)
