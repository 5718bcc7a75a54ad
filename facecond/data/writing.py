"""The writing side of the prepared folder (`prepared.py` says what it holds)."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
from PIL import Image

from facecond import __version__
from facecond.data.factors import FACTORS, Factors, factor_rows
from facecond.data.parallel import ordered_map
from facecond.data.work_folder import WorkFolder
from facecond.errors import UserError
from facecond.labels import ATTRIBUTES, MASK_CLASSES, UNSPECIFIED
from facecond.storage import hash_of, make_folder, read_json, reported_as, write_json

SCHEMA = "facecond.prepared/1"
SPLITS: tuple[str, ...] = ("generator", "judges", "test")
"""generator: trains the first stage and the denoiser; judges: trains the judges; test: scores."""

IDENTITIES = "identities.csv"
"""Who is who, where that is known."""

ON_DISK = {1: "1", 0: "0", UNSPECIFIED: ""}
"""Attribute value in memory -> word in attributes.csv."""


@dataclass(frozen=True)
class EncodedFace:
    """One face as the bytes of its files; made in worker processes, written by one writer.

    Attributes:
        name: file name without suffix.
        image: PNG or JPEG file.
        mask: 8-bit PNG file of class ids, or None when the face has no mask.
        attributes: int8 [40], values 1, 0, -1.
    """

    name: str
    image: bytes
    mask: bytes | None
    attributes: np.ndarray


@dataclass(frozen=True)
class PlannedFace:
    """A face to be written.

    Attributes:
        item: what it is made from; sent to a worker process.
        split: generator, judges or test.
        key: hash of everything that its files depend on; work done for another key is not kept.
    """

    item: Any
    split: str
    key: str


def encode_png(pixels: np.ndarray) -> bytes:
    """uint8 [H, W] or [H, W, 3] -> PNG file; compressed lightly, for speed."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


class PreparedWriter:
    """Writes a prepared folder. It appears under its name only when everything is written.

    Args:
        out: the folder to make; an earlier prepared folder of this name is replaced.
        image_size: side of the square images and masks, in pixels.
        source: "rendered", "folder" or "celebamask".
        details: what else the manifest should say about how the data came about (JSON values).
        plan: name -> face, in the order of the folder. With a plan, a run that was killed is
            continued: only the faces in `waiting` are still to be added.
        identities: name -> identity, of the faces whose person is known.
        factors: name -> what it was drawn from, of the faces of which that is known.

    Raises:
        UserError: `out` is not writable, is being written by another run, or holds something
            other than a prepared folder.
    """

    def __init__(
        self,
        out: str | Path,
        image_size: int,
        source: str,
        details: Mapping[str, Any] | None = None,
        plan: Mapping[str, PlannedFace] | None = None,
        identities: Mapping[str, str] | None = None,
        factors: Mapping[str, Factors] | None = None,
    ) -> None:
        self.out, self.image_size, self.source = Path(out), image_size, source
        self.details, self.plan = dict(details or {}), plan or {}
        self.identities, self.factors = identities or {}, factors or {}
        self.versions = {
            "facecond": __version__,
            **{name: version(name) for name in ("numpy", "pillow")},
            "opencv": cv2.__version__,
        }
        self._splits = {name: face.split for name, face in self.plan.items()}

    def __enter__(self) -> PreparedWriter:
        make_folder(self.out.parent)
        refuse_foreign(self.out)
        identity = hash_of([SCHEMA, self.source, self.image_size, self.versions])
        with ExitStack() as stack:
            stack.enter_context(reported_as(self.out))
            self._work = stack.enter_context(WorkFolder(self.out, identity))
            self._work.restore({name: face.key for name, face in self.plan.items()})
            for name in ("images", "masks", "splits"):
                (self._work.folder / name).mkdir(exist_ok=True)
            self._stack = stack.pop_all()
        return self

    @property
    def waiting(self) -> list[str]:
        """The planned names that are not written yet, in order."""
        return [name for name in self.plan if name not in self._work.entries]

    def add(
        self,
        name: str,
        image: np.ndarray,
        mask: np.ndarray | None,
        attributes: np.ndarray,
        split: str,
    ) -> None:
        """Add a face: image uint8 [S, S, 3], mask uint8 [S, S] or None, attributes int8 [40]."""
        encoded_mask = None if mask is None else encode_png(mask)
        self.add_encoded(EncodedFace(name, encode_png(image), encoded_mask, attributes), split)

    def add_encoded(self, face: EncodedFace, split: str) -> None:
        """Add a face that is encoded already."""
        if split not in SPLITS or face.name in self._work.entries:
            raise ValueError(f"split '{split}' unknown or name '{face.name}' used twice")
        suffix = "jpg" if face.image.startswith(b"\xff\xd8") else "png"
        files = {f"images/{face.name}.{suffix}": face.image}
        if face.mask is not None:
            files[f"masks/{face.name}.png"] = face.mask
        key = self.plan[face.name].key if self.plan else ""
        self._work.add(face.name, key, files, [int(value) for value in face.attributes])
        self._splits[face.name] = split

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            try:
                self._finish()
            except BaseException as failure:
                self._stack.__exit__(type(failure), failure, failure.__traceback__)
                raise
        is_kept, done = self._work.is_kept, len(self._work.entries)
        self._stack.__exit__(kind, error, trace)
        if is_kept and isinstance(error, UserError):
            fix = f"{error.fix} The same command then goes on after the {done} faces done."
            raise UserError(error.what, error.where, fix) from None

    def _finish(self) -> None:
        entries = self._work.entries
        faces = [entries[name] for name in self.plan or entries]
        files = {file: value for face in faces for file, value in face["files"].items()}

        def write(file: str, text: str) -> None:
            files[file] = self._work.write(file, text.encode())

        rows = [(face["name"], np.array(face["row"], np.int8)) for face in faces]
        write("attributes.csv", attribute_csv(rows, ON_DISK))
        for split in SPLITS:
            lines = [f"{name}\n" for name, _ in rows if self._splits[name] == split]
            write(f"splits/{split}.txt", "".join(lines))
        people = [(name, person) for name, _ in rows if (person := self.identities.get(name))]
        if people:
            write(IDENTITIES, csv_text([("name", "identity"), *people]))
        known = factor_rows([name for name, _ in rows], self.factors)
        if len(known) > 1:
            write(FACTORS, csv_text(known))
        manifest = {
            "schema": SCHEMA,
            "source": self.source,
            "image_size": self.image_size,
            "count": len(rows),
            "label_order": "celebamask",
            "classes": list(MASK_CLASSES),
            "attributes": list(ATTRIBUTES),
            "details": self.details,
            "versions": self.versions,
            "data_hash": hash_of(files),
            "files": files,
        }
        write_json(self._work.folder / "manifest.json", manifest)
        self._work.publish()


def write_faces(
    out: str | Path,
    size: int,
    source: str,
    details: Mapping[str, Any],
    plan: Mapping[str, PlannedFace],
    encode: Callable[[Any], EncodedFace],
    workers: int | None,
    description: str,
    identities: Mapping[str, str] | None = None,
    factors: Mapping[str, Factors] | None = None,
) -> None:
    """Write planned faces with several processes, from where a killed run stopped.

    Args:
        encode: item of a planned face -> the face; runs in a worker process.
        workers: processes; None means one per core. The result does not depend on them.
        description: label of the progress bar.

    The others are those of `PreparedWriter`. Raises what it and `encode` raise.
    """
    with PreparedWriter(out, size, source, details, plan, identities, factors) as writer:
        items = [plan[name].item for name in writer.waiting]
        done = len(plan) - len(items)
        for face in ordered_map(encode, items, workers, description, done):
            writer.add_encoded(face, plan[face.name].split)


def attribute_csv(rows: list[tuple[str, np.ndarray]], coding: Mapping[int, str]) -> str:
    """Rows of (name, int8 [40]) -> CSV text; `coding` gives the word for 1, 0 and -1."""
    lines = ([name, *(coding[int(v)] for v in values)] for name, values in rows)
    return csv_text([["name", *ATTRIBUTES], *lines])


def csv_text(rows: Iterable[Sequence[str]]) -> str:
    """Rows, the header among them -> CSV text."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def refuse_foreign(out: Path) -> None:
    """Raise `UserError` when `out` holds something that writing a prepared folder would lose."""
    fix = "Choose a new folder."
    if out.exists() and not out.is_dir():
        raise UserError("is a file", out, fix)
    if out.is_dir() and any(out.iterdir()):
        manifest = out / "manifest.json"
        if not manifest.is_file() or read_json(manifest).get("schema") != SCHEMA:
            raise UserError("the folder is in use and is not a prepared folder", out, fix)
