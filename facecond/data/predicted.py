"""Labels that judges gave, in `predicted/` inside a prepared folder; the truth stays as it is.

attributes.csv   name + 40 columns: 1 present, 0 absent; empty where the truth is known or the
                 judges do not say
confidence.csv   name + 40 columns: probability that the value given is right, 0.5 to 1
masks/NAME.png   8-bit class ids of a face without a true mask, 255 = the parser does not say
masks.csv        name, confidence: mean probability of the class given, over the pixels
manifest.json    schema, data_hash of the true folder, SHA-256 of every file, and how it was made
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256 as new_sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facecond.data.writing import ON_DISK, attribute_csv, csv_text, encode_png
from facecond.errors import UserError
from facecond.labels import ATTRIBUTES, UNSPECIFIED
from facecond.storage import atomic_folder, hash_of, read_json, sha256, write_json

if TYPE_CHECKING:
    from facecond.data.prepared import PreparedFolder

SCHEMA = "facecond.predicted/1"
FOLDER = "predicted"

_TABLES = ("attributes.csv", "confidence.csv", "masks.csv")
_ANEW = f"Run `facecond data label` again, or remove the folder {FOLDER}."
_VALUES = {word: value for value, word in ON_DISK.items()}


@dataclass(frozen=True)
class PredictedLabels:
    """What judges said about the faces of a prepared folder.

    Attributes:
        root: the folder `predicted`.
        manifest: the content of its manifest.json.
        attributes: int8 [N, 40]; -1 where nothing is given.
        confidence: float32 [N, 40]; 0 where nothing is given.
        mask_confidence: float32 [N]; 0 where no mask is given.
        has_mask: bool [N].
    """

    root: Path
    manifest: dict[str, Any]
    attributes: np.ndarray
    confidence: np.ndarray
    mask_confidence: np.ndarray
    has_mask: np.ndarray


class PredictedWriter:
    """Writes the files of `predicted/`; made by `write_predicted`.

    Attributes:
        details: what the manifest says beside schema, hashes and counts (JSON values).
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.details: dict[str, Any] = {}
        self._folder, self._names = folder, list(names)
        self._files: dict[str, str] = {}
        self._masks: list[tuple[str, float]] = []
        shape = (len(self._names), len(ATTRIBUTES))
        self._attributes = np.full(shape, UNSPECIFIED, np.int8)
        self._confidence = np.zeros(shape, np.float32)

    def set_attributes(self, attributes: np.ndarray, confidence: np.ndarray) -> None:
        """Values int8 [N, 40] (-1 = not given) and their confidence, float [N, 40]."""
        if attributes.shape != self._attributes.shape or confidence.shape != attributes.shape:
            raise ValueError(f"labels of shape {attributes.shape} for {len(self._names)} faces")
        self._attributes, self._confidence = attributes, confidence

    def add_mask(self, name: str, mask: np.ndarray, confidence: float) -> None:
        """A mask uint8 [S, S] with its confidence."""
        self._write(f"masks/{name}.png", encode_png(mask))
        self._masks.append((name, confidence))

    def keep_masks(self, earlier: PredictedLabels) -> None:
        """Take over the masks of an earlier `predicted/`; raises `UserError` where one was
        changed."""
        for row in np.flatnonzero(earlier.has_mask):
            name = self._names[row]
            self._write(f"masks/{name}.png", mask_file(earlier.root, earlier.manifest, name))
            self._masks.append((name, float(earlier.mask_confidence[row])))

    def finish(self, data_hash: str) -> None:
        """Write the tables and the manifest; `data_hash` names the true folder."""
        given = self._attributes != UNSPECIFIED
        sure = [
            [f"{c:.4f}" if g else "" for c, g in zip(*row, strict=True)]
            for row in zip(self._confidence, given, strict=True)
        ]
        tables = (
            attribute_csv(list(zip(self._names, self._attributes, strict=True)), ON_DISK),
            csv_text(
                [
                    ["name", *ATTRIBUTES],
                    *([n, *row] for n, row in zip(self._names, sure, strict=True)),
                ]
            ),
            csv_text([["name", "confidence"], *([n, f"{c:.4f}"] for n, c in self._masks)]),
        )
        for name, content in zip(_TABLES, tables, strict=True):
            self._write(name, content.encode())
        manifest = {
            "schema": SCHEMA,
            "data_hash": data_hash,
            "labels_hash": hash_of(self._files),
            "counts": {
                "attribute_values": int(given.sum()),
                "faces_with_attributes": int(given.any(1).sum()),
                "masks": len(self._masks),
            },
        }
        write_json(self._folder / "manifest.json", manifest | self.details | {"files": self._files})

    def _write(self, name: str, content: bytes) -> None:
        (self._folder / name).write_bytes(content)
        self._files[name] = new_sha256(content).hexdigest()


@contextmanager
def write_predicted(folder: PreparedFolder) -> Iterator[PredictedWriter]:
    """Write `predicted/` of a prepared folder; it takes its place only if the block succeeds."""
    with atomic_folder(folder.root / FOLDER) as temporary:
        (temporary / "masks").mkdir()
        writer = PredictedWriter(temporary, folder.names)
        yield writer
        writer.finish(folder.manifest["data_hash"])


def read_predicted(folder: PreparedFolder) -> PredictedLabels | None:
    """Read `predicted/` of a prepared folder; None when there is none.

    Raises:
        UserError: it was made for other data, or a file is missing or was changed.
    """
    root = folder.root / FOLDER
    if not root.is_dir():
        return None
    manifest = _manifest(root, folder.manifest["data_hash"])
    tables = [_rows(root / name) for name in _TABLES]
    if any([row[0] for row in rows] != folder.names for rows in tables[:2]):
        raise UserError("does not list the faces of this folder", root / _TABLES[0], _ANEW)
    shape = (len(folder), len(ATTRIBUTES))
    values = [[_VALUES[word] for word in row[1:]] for row in tables[0]]
    sure = [[float(word or 0) for word in row[1:]] for row in tables[1]]
    masks = {name: float(word) for name, word in tables[2]}
    mask_confidence = np.array([masks.get(name, 0.0) for name in folder.names], np.float32)
    return PredictedLabels(
        root=root,
        manifest=manifest,
        attributes=np.array(values, np.int8).reshape(shape),
        confidence=np.array(sure, np.float32).reshape(shape),
        mask_confidence=mask_confidence,
        has_mask=np.array([name in masks for name in folder.names], bool),
    )


def mask_file(root: Path, manifest: dict[str, Any], name: str) -> bytes:
    """The file of a predicted mask, checked against the manifest of its folder `root`.

    Raises:
        UserError: it is missing, or was changed after it was written.
    """
    path = root / "masks" / f"{name}.png"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", path, _ANEW) from None
    if new_sha256(content).hexdigest() != manifest["files"].get(f"masks/{name}.png"):
        raise UserError("was changed after it was written", path, _ANEW)
    return content


def add_predicted(folder: PreparedFolder) -> None:
    """Put the judges' labels where an opened folder has no truth, and let `data_hash` name both.

    The truth always stands: a label beside it is left out.
    """
    given = read_predicted(folder)
    if given is None:
        return
    known = folder.attributes != UNSPECIFIED
    folder.attribute_predicted = ~known & (given.attributes != UNSPECIFIED)
    folder.attributes = np.where(folder.attribute_predicted, given.attributes, folder.attributes)
    folder.mask_predicted = given.has_mask & ~folder.has_mask
    folder.has_mask = folder.has_mask | given.has_mask
    folder.predicted_manifest = given.manifest
    folder.data_hash = hash_of([folder.data_hash, given.manifest["labels_hash"]])


def _manifest(root: Path, data_hash: str) -> dict[str, Any]:
    where = root / "manifest.json"
    manifest = read_json(where)
    schema = manifest.get("schema") if isinstance(manifest, dict) else None
    if schema != SCHEMA:
        raise UserError(f"schema is '{schema}', expected '{SCHEMA}'", where, _ANEW)
    files = manifest.get("files", {})
    if manifest.get("data_hash") != data_hash:
        raise UserError("its labels were made for other data", root, _ANEW)
    if hash_of(files) != manifest.get("labels_hash"):
        raise UserError("the list of files and labels_hash disagree", where, _ANEW)
    there = {f"masks/{path.name}" for path in (root / "masks").glob("*.png")}
    lost = [f for f in files if f not in there and not (f in _TABLES and (root / f).is_file())]
    if lost:
        raise UserError(f"is missing ({len(lost)} such files)", root / lost[0], _ANEW)
    for name in _TABLES:
        if sha256(root / name) != files.get(name):
            raise UserError("was changed after it was written", root / name, _ANEW)
    return manifest


def _rows(path: Path) -> list[list[str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.reader(file))[1:]
