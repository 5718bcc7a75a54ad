"""Evidence tokens of a split's pictures, computed once: a memory-mapped array and a manifest."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from facecond.data.prepared import PreparedFolder
from facecond.errors import UserError
from facecond.storage import atomic_folder, make_folder, read_json, sha256, write_json

SCHEMA = "facecond.evidence/1"

Encode = Callable[[np.ndarray], np.ndarray]
"""Pictures uint8 [B, S, S, 3] -> evidence tokens float32 [B, N, E]."""


def evidence_cache(
    folder: PreparedFolder,
    split: str,
    encode: Encode,
    out: str | Path,
    identity: dict[str, Any],
    batch_size: int = 64,
) -> np.ndarray:
    """float16 [n, N, E]: the evidence of each face of a split, in the order of its positions.

    What lies in `out` is used again where its identity is the same and its file whole; else it is
    built anew, after a line that says so. How large it becomes is told before.

    Args:
        identity: what the tokens depend on beside the data: encoder, first stage.

    Raises:
        UserError: the split is empty, `out` is not writable or its disk too full, or evidence is
            not finite in half precision.
    """
    out, rows = Path(out), folder.indices(split)
    wanted = {"schema": SCHEMA, "data_hash": folder.data_hash, "split": split, **identity}
    file = out / "evidence.npy"
    if (out / "manifest.json").is_file() and file.is_file():
        if _is_whole(out, wanted):
            return np.load(file, mmap_mode="r")
        tqdm.write(f"{out}: the evidence is stale or damaged; building it anew")
    make_folder(out.parent)
    with atomic_folder(out) as temporary, tqdm(total=len(rows), desc="evidence", unit="img") as bar:
        array: np.memmap | None = None
        for start in range(0, len(rows), batch_size):
            part = rows[start : start + batch_size]
            tokens = _half(encode(np.stack([folder.image(int(row)) for row in part])))
            if array is None:
                shape = (len(rows), *tokens.shape[1:])
                _tell_size(shape, out)
                array = np.lib.format.open_memmap(
                    temporary / "evidence.npy", "w+", np.float16, shape
                )
            array[start : start + len(part)] = tokens
            bar.update(len(part))
        assert array is not None  # a split is not empty
        array.flush()
        record = {"identity": wanted, "sha256": sha256(temporary / "evidence.npy")}
        write_json(temporary / "manifest.json", record)
    return np.load(file, mmap_mode="r")


def _is_whole(out: Path, wanted: dict[str, Any]) -> bool:
    """Whether the manifest can be read, names what is wanted, and fits the file."""
    try:
        told = read_json(out / "manifest.json")
    except UserError:
        return False
    if not isinstance(told, dict) or told.get("identity") != wanted:
        return False
    return bool(told.get("sha256") == sha256(out / "evidence.npy"))


def _half(tokens: np.ndarray) -> np.ndarray:
    """Tokens in float16; what is finite before may not be after."""
    with np.errstate(over="ignore"):
        half = tokens.astype(np.float16)
    if not np.isfinite(half).all():
        fix = "Take other weights."
        what = "its evidence is not finite (NaN, or above 65504)"
        raise UserError(what, "reference.evidence", fix)
    return half


def _tell_size(shape: tuple[int, ...], out: Path) -> None:
    """Print what the evidence takes; raises `UserError` where the disk has less."""
    faces, tokens, width = shape
    needed, free = 2 * faces * tokens * width, shutil.disk_usage(out.parent).free
    size = f"{faces:,} faces x {tokens} tokens x {width} numbers = {_giga(needed)}"
    if needed > free:
        fix = "Lower reference.grid, or use another --out."
        raise UserError(f"{size} of evidence, {_giga(free)} are free", out, fix)
    tqdm.write(f"evidence: {size}")


def _giga(size: int) -> str:
    return f"{size / 1e9:.2f} GB"
