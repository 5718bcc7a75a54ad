"""The pairs of a split, and how they are told and stored."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from hashlib import sha256 as new_sha256
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from facecond.data.pairs.rules import TASKS
from facecond.data.pairs.search import DISTANCES, FLIPS, MIOUS
from facecond.errors import UserError
from facecond.storage import atomic_file

SCHEMA = "facecond.pairs/2"

_TOLD_BY = {
    "file": "identities.csv",
    "embedding": "an embedding",
    "unknown": "nothing (all count as different)",
    "factors": "the planted factors",
}


@dataclass(frozen=True)
class Pairs:
    """Reference/target pairs within one split.

    Attributes:
        split: generator, judges or test.
        faces: faces of the split.
        rows: task -> int64 [n, 2]: reference and target, as positions in the split (places in
            `folder.indices(split)`). At most `max_pairs` a task; a pair of faces may be there in
            both directions.
        counts: task -> all pairs of two faces that the rules find, whichever is the reference;
            of `reconstruction`, the faces.
        identity: how persons were told apart: "file", "embedding", "unknown"; "factors" where
            planted factors decided.
        attributes: those that were compared.
        tables: see `search.Found`; how the counts would change with the rules.
        notes: what the user should be warned of.
        sizes: what limits the counts: `masked`, faces with a mask; `stated`, faces that state
            enough of the attributes; `true_stated`, those of them that need no judge for it.
    """

    split: str
    faces: int
    rows: dict[str, np.ndarray]
    counts: dict[str, int]
    identity: str
    attributes: tuple[str, ...]
    tables: dict[str, np.ndarray] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    sizes: dict[str, int] = field(default_factory=dict)

    def describe(self) -> str:
        """The counts as a table, with warnings."""
        lines = [
            f"{self.split}: {self.faces} faces, {self.sizes['masked']} with mask, "
            f"{self.sizes['stated']} with enough attributes ({self.sizes['true_stated']} by true "
            f"labels); persons are told apart by {_TOLD_BY[self.identity]}",
            f"{'task':<16}{'pairs':>12}{'rows kept':>12}{'faces as target':>18}",
        ]
        for task in TASKS:
            targets = len(np.unique(self.rows[task][:, 1]))
            kept = len(self.rows[task])
            lines.append(f"{task:<16}{self.counts[task]:>12,}{kept:>12,}{targets:>18,}")
        return "\n".join([*lines, *(f"warning: {note}" for note in self.notes)])

    def choices(self) -> str:
        """How many pairs other thresholds would find, as two tables; "" for planted factors."""
        if not self.tables:
            return ""
        lines = ["", "geometry: pairs by mask mIoU at least (rows) and attributes that differ"]
        lines += _grid(self.tables["geometry"], [f"{n} or more" for n in FLIPS])
        lines += ["", "appearance: pairs by mask mIoU below (rows) and attributes that differ"]
        lines += _grid(self.tables["appearance"], [f"{n} at most" for n in DISTANCES])
        return "\n".join(lines)


def write_pairs(path: Path, pairs: Pairs, identity: dict[str, Any]) -> None:
    """Store pairs atomically, with what they depend on (JSON values)."""
    arrays = {f"rows.{task}": rows for task, rows in pairs.rows.items()}
    arrays |= {f"tables.{task}": table for task, table in pairs.tables.items()}
    rest = {
        "split": pairs.split, "faces": pairs.faces, "counts": pairs.counts,
        "identity": pairs.identity, "attributes": pairs.attributes, "notes": pairs.notes,
        "sizes": pairs.sizes,
    }  # fmt: skip
    texts = {"schema": SCHEMA, "made_from": json.dumps(identity, sort_keys=True)}
    texts |= {"pairs": json.dumps(rest), "content": _content(arrays, rest)}
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    with atomic_file(path) as temporary:
        save_file(arrays, temporary, metadata=texts)


def read_pairs(path: Path, identity: dict[str, Any]) -> Pairs:
    """Read stored pairs.

    Raises:
        UserError: damaged, of another version, or made from something else.
    """
    fix = "Remove it, so that it is built anew."
    try:
        with safe_open(path, "np") as file:
            texts = file.metadata() or {}
            if texts.get("schema") != SCHEMA:
                raise UserError(f"does not hold pairs of this version ({SCHEMA})", path, fix)
            names = file.keys()  # the file itself cannot be iterated over
            arrays = {name: file.get_tensor(name) for name in names}
        rest = json.loads(texts["pairs"])
        if texts["content"] != _content(arrays, rest):
            raise UserError("the stored pairs are damaged", path, fix)
        stale = json.loads(texts["made_from"]) != json.loads(json.dumps(identity))
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise UserError(f"the stored pairs cannot be read ({error})", path, fix) from None
    if stale:
        raise UserError("the stored pairs are stale: other data or rules", path, fix)
    rows, tables = (
        {name.partition(".")[2]: array for name, array in arrays.items() if name.startswith(kind)}
        for kind in ("rows.", "tables.")
    )
    rest |= {"attributes": tuple(rest["attributes"]), "notes": tuple(rest["notes"])}
    return Pairs(rows=rows, tables=tables, **rest)


def _content(arrays: dict[str, np.ndarray], rest: dict[str, Any]) -> str:
    digest = new_sha256(json.dumps(rest, sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name}:{array.dtype}:{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _grid(table: np.ndarray, columns: list[str]) -> list[str]:
    head = f"{'':<6}" + "".join(f"{word:>14}" for word in columns)
    return [
        head,
        *(
            f"{miou:<6}" + "".join(f"{value:>14,}" for value in row)
            for miou, row in zip(MIOUS, table.tolist(), strict=True)
        ),
    ]
