"""Training state on disk: atomic, hashed, at least two kept, resumable exactly.

A checkpoint is a folder `step-00001234` with `tensors.safetensors` (every tensor of the state) and
`state.json` (everything else, the SHA-256 of the tensors, and a checksum of all that). It has
its name only while it is complete: written and removed under a hidden one. Older ones are pruned
after a newer one stands, so no crash leaves a run without one.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from facecond.errors import UserError
from facecond.storage import atomic_folder, hash_of, make_folder, read_json, sha256, write_json

FAMILY = "facecond.checkpoint/"
SCHEMA = f"{FAMILY}2"


class OtherVersion(UserError):
    """A checkpoint that is whole, and of another version."""


def save(folder: Path, step: int, state: dict[str, Any], keep: int) -> Path:
    """Write `state` (nested dicts and lists of tensors and JSON values) as the one of `step`.

    Args:
        keep: newest checkpoints that stay; at least 2, so that a damaged one has a fallback.
    """
    if keep < 2:
        raise UserError(f"keeps {keep} checkpoints", "train.keep_checkpoints", "Keep at least 2.")
    make_folder(folder)
    path = folder_of(folder, step)
    tensors: dict[str, torch.Tensor] = {}
    tree = _split(state, tensors)
    with atomic_folder(path) as temporary:
        save_file(tensors, temporary / "tensors.safetensors")
        header = {
            "schema": SCHEMA,
            "step": step,
            "sha256": sha256(temporary / "tensors.safetensors"),
            "state": tree,
        }
        write_json(temporary / "state.json", {**header, "checksum": hash_of(header)})
    for old in steps(folder)[:-keep]:
        with contextlib.suppress(OSError):  # the new one stands: what cannot go may stay
            _remove(old)
    for unfinished in folder.glob(".step-*"):  # left by a save or a removal that was killed
        shutil.rmtree(unfinished, ignore_errors=True)
    return path


def folder_of(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step lies among those of a run."""
    return folder / f"step-{step:08d}"


def discard_after(folder: Path, step: int) -> None:
    """Remove checkpoints later than `step`: a run that starts from there makes its own."""
    for path in steps(folder):
        if int(path.name.removeprefix("step-")) > step:
            _remove(path)


def _remove(path: Path) -> None:
    """Remove a checkpoint; a kill amid this leaves no part of it under its name."""
    hidden = path.with_name(f".{path.name}.removed")
    shutil.rmtree(hidden, ignore_errors=True)  # left by a removal that was killed
    path.rename(hidden)
    shutil.rmtree(hidden, ignore_errors=True)


def steps(folder: Path) -> list[Path]:
    """Complete checkpoints, oldest first."""
    return sorted(path for path in folder.glob("step-*") if path.is_dir())


def load(path: Path) -> tuple[int, dict[str, Any]]:
    """Step and state of one checkpoint.

    Raises:
        OtherVersion: of another version of facecond.
        UserError: incomplete, no checkpoint, or its bytes differ from their hash.
    """
    header = read_json(path / "state.json")
    if not isinstance(header, dict) or not str(header.get("schema")).startswith(FAMILY):
        raise UserError("not a checkpoint of facecond", path, "Name a folder step-*.")
    file = path / "tensors.safetensors"
    whole = header.pop("checksum", None) == hash_of(header)
    if whole and header["schema"] != SCHEMA:
        what = "the checkpoint was made by another version of facecond"
        raise OtherVersion(what, path, "Go on with that version, or start with --resume never.")
    if not whole or not file.is_file() or sha256(file) != header["sha256"]:
        raise UserError(
            "the checkpoint is damaged (its hash differs)", path, "Resume from an earlier one."
        )
    return int(header["step"]), _join(header["state"], load_file(file))


def load_newest(folder: Path) -> tuple[Path, int, dict[str, Any], list[str]] | None:
    """The newest checkpoint that is whole, and a warning for each damaged one passed over.

    Raises:
        UserError: there are checkpoints, but every one is damaged, or of another version.
    """
    warnings: list[str] = []
    other: OtherVersion | None = None
    candidates = steps(folder)
    for path in reversed(candidates):
        try:
            step, state = load(path)
        except UserError as error:
            other = error if isinstance(error, OtherVersion) else other
            warnings.append(str(error))
            continue
        return path, step, state, warnings
    if other is not None:
        raise other
    if candidates:
        raise UserError(
            "every checkpoint is damaged", folder, "Restore one, or start with --resume never."
        )
    return None


def _split(value: Any, tensors: dict[str, torch.Tensor], path: str = "state") -> Any:
    """JSON tree in which each tensor is replaced by the key under which `tensors` holds it."""
    if isinstance(value, torch.Tensor):
        if path in tensors:  # keys that hold a slash, or are a number and its text
            path = f"{path}#{len(tensors)}"
        tensors[path] = value.detach().cpu().contiguous()
        return {"tensor": path}
    if isinstance(value, dict):
        items = [
            [key, _split(item, tensors, f"{path}/{key}")] for key, item in value.items()
        ]  # pairs, because optimiser states have integer keys
        return {"dict": items}
    if isinstance(value, list | tuple):
        return [_split(item, tensors, f"{path}/{i}") for i, item in enumerate(value)]
    return value


def _join(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, dict) and "tensor" in value:
        return tensors[value["tensor"]]
    if isinstance(value, dict):
        return {key: _join(item, tensors) for key, item in value["dict"]}
    if isinstance(value, list):
        return [_join(item, tensors) for item in value]
    return value
