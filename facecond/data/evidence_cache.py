"""Evidence tokens of a split's pictures, computed once: a memory-mapped array and a manifest."""

from __future__ import annotations

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
    built anew.

    Args:
        identity: what the tokens depend on beside the data: encoder, first stage.

    Raises:
        UserError: the split is empty, `out` is not writable, or evidence is not finite.
    """
    out, rows = Path(out), folder.indices(split)
    wanted = {"schema": SCHEMA, "data_hash": folder.data_hash, "split": split, **identity}
    manifest, file = out / "manifest.json", out / "evidence.npy"
    if manifest.is_file() and file.is_file():
        told = read_json(manifest)
        if told.get("identity") == wanted and told.get("sha256") == sha256(file):
            return np.load(file, mmap_mode="r")
        tqdm.write(f"{out}: the evidence is stale or damaged; building it anew")
    make_folder(out.parent)
    with atomic_folder(out) as temporary, tqdm(total=len(rows), desc="evidence", unit="img") as bar:
        array: np.memmap | None = None
        for start in range(0, len(rows), batch_size):
            part = rows[start : start + batch_size]
            tokens = encode(np.stack([folder.image(int(row)) for row in part]))
            if not np.isfinite(tokens).all():
                fix = "Take other weights; half precision may overflow."
                raise UserError("its evidence is not finite", "reference.evidence", fix)
            if array is None:
                shape = (len(rows), *tokens.shape[1:])
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
