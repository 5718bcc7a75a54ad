"""The prepared folder: the one format that all data lead to and everything else reads.

manifest.json        schema, size, counts, label order, versions, SHA-256 of every file
images/NAME.png|jpg  RGB, square
masks/NAME.png       8-bit class ids, 255 = anything; a face without mask has no file
attributes.csv       name + 40 columns: 1 present, 0 absent, empty unspecified
splits/*.txt         generator, judges, test: one name per line
predicted/           labels that judges gave, where there are any: see `predicted.py`
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256 as new_sha256
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from PIL import Image

from facecond import __version__
from facecond.data.predicted import add_predicted
from facecond.errors import UserError
from facecond.labels import ANYTHING, ATTRIBUTES, MASK_CLASSES, UNSPECIFIED
from facecond.storage import atomic_folder, hash_of, make_folder, read_json, sha256, write_json

SCHEMA = "facecond.prepared/1"
SPLITS: tuple[str, ...] = ("generator", "judges", "test")
"""generator: trains the first stage and the denoiser; judges: trains the judges; test: scores."""

_PREPARE_ANEW = "Prepare the folder anew with `facecond data`."
_ON_DISK = {1: "1", 0: "0", UNSPECIFIED: ""}
_IN_MEMORY = {text: value for value, text in _ON_DISK.items()}


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
        source: "rendered" or "folder".
        details: what else the manifest should say about how the data came about (JSON values).

    Raises:
        UserError: `out` is not writable, or holds something other than a prepared folder.
    """

    def __init__(
        self,
        out: str | Path,
        image_size: int,
        source: str,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        self.out, self.image_size, self.source = Path(out), image_size, source
        self.details = dict(details or {})
        self._rows: list[tuple[str, np.ndarray]] = []
        self._splits: dict[str, str] = {}
        self._files: dict[str, str] = {}

    def __enter__(self) -> PreparedWriter:
        make_folder(self.out.parent)
        refuse_foreign(self.out)
        self._stack = ExitStack()
        self._folder = self._stack.enter_context(atomic_folder(self.out))
        for name in ("images", "masks", "splits"):
            (self._folder / name).mkdir()
        return self

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
        if split not in SPLITS or face.name in self._splits:
            raise ValueError(f"split '{split}' unknown or name '{face.name}' used twice")
        suffix = "jpg" if face.image.startswith(b"\xff\xd8") else "png"
        self._write(f"images/{face.name}.{suffix}", face.image)
        if face.mask is not None:
            self._write(f"masks/{face.name}.png", face.mask)
        self._rows.append((face.name, face.attributes))
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
        self._stack.__exit__(kind, error, trace)

    def _finish(self) -> None:
        self._write("attributes.csv", attribute_csv(self._rows, _ON_DISK).encode())
        for split in SPLITS:
            lines = [f"{name}\n" for name, _ in self._rows if self._splits[name] == split]
            self._write(f"splits/{split}.txt", "".join(lines).encode())
        manifest = {
            "schema": SCHEMA,
            "source": self.source,
            "image_size": self.image_size,
            "count": len(self._rows),
            "label_order": "celebamask",
            "classes": list(MASK_CLASSES),
            "attributes": list(ATTRIBUTES),
            "details": self.details,
            "versions": {"facecond": __version__}
            | {name: version(name) for name in ("numpy", "pillow")},
            "data_hash": hash_of(self._files),
            "files": self._files,
        }
        write_json(self._folder / "manifest.json", manifest)

    def _write(self, name: str, content: bytes) -> None:
        (self._folder / name).write_bytes(content)
        self._files[name] = new_sha256(content).hexdigest()


class PreparedFolder:
    """A prepared folder, opened with `PreparedFolder.open`; images are read when asked for.

    Attributes:
        root: the folder.
        manifest: the content of manifest.json.
        image_size: side of images and masks, in pixels.
        source: "rendered" or "folder".
        data_hash: hash over the content of every file; names this data set and, with labels of
            judges, those too.
        names: [N] names.
        attributes: int8 [N, 40]; 1 present, 0 absent, -1 unspecified.
        splits: str [N]; generator, judges or test.
        has_mask: bool [N].
        attribute_predicted: bool [N, 40]; which values of `attributes` a judge gave.
        mask_predicted: bool [N]; which masks a judge gave.
    """

    def __init__(
        self,
        root: Path,
        manifest: dict[str, Any],
        names: list[str],
        attributes: np.ndarray,
        splits: np.ndarray,
    ) -> None:
        self.root, self.manifest = root, manifest
        self.image_size: int = manifest["image_size"]
        self.source: str = manifest["source"]
        self.data_hash: str = manifest["data_hash"]
        self.names, self.attributes, self.splits = names, attributes, splits
        files = manifest["files"]
        self.has_mask = np.array([f"masks/{name}.png" in files for name in names], bool)
        self.attribute_predicted = np.zeros(attributes.shape, bool)
        self.mask_predicted = np.zeros(len(names), bool)
        self._suffixes = ["jpg" if f"images/{name}.jpg" in files else "png" for name in names]

    @classmethod
    def open(cls, root: str | Path, labels: str = "true") -> PreparedFolder:
        """Read manifest, attributes and splits, and check that every file is there.

        Args:
            labels: "true" reads the truth alone; "all" adds what judges said where there is no
                truth (`facecond data label`).

        Raises:
            UserError: it is not a prepared folder, files are missing, or attributes.csv or the
                splits are not those that were prepared.
        """
        if labels not in ("true", "all"):
            raise ValueError(f"labels are 'true' or 'all', not '{labels}'")
        root = Path(root)
        if not root.is_dir():
            raise UserError("no such folder", root, "Make it with `facecond data`.")
        if not (root / "manifest.json").is_file():
            raise UserError("not a prepared folder (no manifest.json)", root, _PREPARE_ANEW)
        manifest = read_json(root / "manifest.json")
        _check_manifest(root, manifest)
        _check_files(root, manifest["files"])
        names, attributes, splits = _read_table(root)
        if len(names) != manifest["count"]:
            what = f"counts {manifest['count']} faces, but attributes.csv has {len(names)} rows"
            raise UserError(what, root / "manifest.json", _PREPARE_ANEW)
        folder = cls(root, manifest, names, attributes, splits)
        if labels == "all":
            add_predicted(folder)
        return folder

    def __len__(self) -> int:
        return len(self.names)

    def summary(self) -> str:
        """What the folder holds, in one line."""
        sizes = ", ".join(f"{split} {int((self.splits == split).sum())}" for split in SPLITS)
        known = self.attributes != UNSPECIFIED
        return (
            f"{self.root}: {len(self)} faces of {self.image_size} px ({sizes}); "
            f"{int(self.has_mask.sum())} with mask; {int(known.any(1).sum())} with attributes, "
            f"{int(known.all(1).sum())} with all {len(ATTRIBUTES)}"
        )

    def indices(self, split: str) -> np.ndarray:
        """int64 [n]: the rows of a split, in the order of the folder; an empty one is an error."""
        rows = np.flatnonzero(self.splits == split)
        if not len(rows):
            fix = f"Prepare the data with a larger share for it (splits: {', '.join(SPLITS)})."
            raise UserError(f"the split '{split}' is empty", self.root, fix)
        return rows.astype(np.int64)

    def image(self, index: int) -> np.ndarray:
        """uint8 [S, S, 3]: an image."""
        return self._read(f"images/{self.names[index]}.{self._suffixes[index]}", "RGB")

    def mask(self, index: int) -> np.ndarray:
        """uint8 [S, S]: a mask; 255 everywhere for a face that has none."""
        if not self.has_mask[index]:
            return np.full((self.image_size, self.image_size), ANYTHING, np.uint8)
        place = "predicted/masks" if self.mask_predicted[index] else "masks"
        return self._read(f"{place}/{self.names[index]}.png", "L")

    def _read(self, file: str, mode: str) -> np.ndarray:
        path = self.root / file
        try:
            with Image.open(path) as picture:
                pixels = np.array(picture.convert(mode))
        except (OSError, SyntaxError, ValueError) as error:
            raise UserError(f"cannot be read ({error})", path, _PREPARE_ANEW) from None
        if pixels.shape[:2] != (self.image_size, self.image_size):
            size = f"{pixels.shape[1]}x{pixels.shape[0]}"
            raise UserError(f"is {size}, not {self.image_size} square", path, _PREPARE_ANEW)
        return pixels


def attribute_csv(rows: list[tuple[str, np.ndarray]], coding: Mapping[int, str]) -> str:
    """Rows of (name, int8 [40]) -> CSV text; `coding` gives the word for 1, 0 and -1."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["name", *ATTRIBUTES])
    table.writerows([name, *(coding[int(v)] for v in values)] for name, values in rows)
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


def _check_manifest(root: Path, manifest: Any) -> None:
    where = root / "manifest.json"
    schema = manifest.get("schema") if isinstance(manifest, dict) else None
    if schema != SCHEMA:
        raise UserError(f"schema is '{schema}', expected '{SCHEMA}'", where, _PREPARE_ANEW)
    expected = {"classes": list(MASK_CLASSES), "attributes": list(ATTRIBUTES)}
    for key, value in (expected | {"label_order": "celebamask"}).items():
        if manifest.get(key) != value:
            raise UserError(f"'{key}' is not in the known order", where, _PREPARE_ANEW)
    missing = {"image_size", "count", "source", "files", "data_hash"} - set(manifest)
    if missing:
        raise UserError(f"lacks '{min(missing)}'", where, _PREPARE_ANEW)
    if hash_of(manifest["files"]) != manifest["data_hash"]:
        raise UserError("the list of files and data_hash disagree", where, _PREPARE_ANEW)


def _check_files(root: Path, files: Mapping[str, str]) -> None:
    there = {
        f"{kind}/{path.name}" for kind in ("images", "masks") for path in (root / kind).glob("*")
    }
    texts = ["attributes.csv", *(f"splits/{split}.txt" for split in SPLITS)]
    lost = [file for file in files if file not in there and file not in texts]
    lost += [text for text in texts if not (root / text).is_file()]
    if lost:
        raise UserError(f"is missing ({len(lost)} such files)", root / lost[0], _PREPARE_ANEW)
    for text in texts:
        if sha256(root / text) != files.get(text):
            raise UserError("was changed after it was prepared", root / text, _PREPARE_ANEW)


def _read_table(root: Path) -> tuple[list[str], np.ndarray, np.ndarray]:
    with open(root / "attributes.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))[1:]
    values = [[_IN_MEMORY[word] for word in row[1:]] for row in rows]
    attributes = np.array(values, np.int8).reshape(len(rows), len(ATTRIBUTES))
    split_of = {
        name: split
        for split in SPLITS
        for name in (root / "splits" / f"{split}.txt").read_text(encoding="utf-8").splitlines()
    }
    names = [row[0] for row in rows]
    return names, attributes, np.array([split_of[name] for name in names])
