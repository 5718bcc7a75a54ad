"""The prepared folder: the one format that all data lead to and everything else reads.

manifest.json        schema, size, counts, label order, versions, SHA-256 of every file
images/NAME.png|jpg  RGB, square
masks/NAME.png       8-bit class ids, 255 = anything; a face without mask has no file
attributes.csv       name + 40 columns: 1 present, 0 absent, empty unspecified
splits/*.txt         generator, judges, test: one name per line
identities.csv       name, identity: who is who, where it is known; may be missing
factors.csv          name, geometry, appearance: of rendered variations alone, see `factors.py`
excluded.txt         may be added later: faces to leave out, see `exclusions.py`
predicted/           labels that judges gave, where there are any: see `predicted.py`
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from facecond.data.annotations import read_identities
from facecond.data.exclusions import read_exclusions
from facecond.data.factors import FACTORS, Factors, read_factors
from facecond.data.predicted import FOLDER, add_predicted, mask_file
from facecond.data.writing import IDENTITIES, ON_DISK, SCHEMA, SPLITS
from facecond.errors import UserError
from facecond.labels import ANYTHING, ATTRIBUTES, MASK_CLASSES, UNSPECIFIED
from facecond.storage import hash_of, read_json, sha256

__all__ = ["SPLITS", "PreparedFolder"]

_IS_CLASS = np.isin(np.arange(256), [*range(len(MASK_CLASSES)), ANYTHING])
_PREPARE_ANEW = "Prepare the folder anew with `facecond data`."
_IN_MEMORY = {text: value for value, text in ON_DISK.items()}


class PreparedFolder:
    """A prepared folder, opened with `PreparedFolder.open`; images are read when asked for.

    Attributes:
        root: the folder.
        manifest: the content of manifest.json.
        image_size: side of images and masks, in pixels.
        source: "rendered", "folder" or "celebamask".
        data_hash: hash over the content of every file, over the names that excluded.txt leaves
            out and, with labels of judges, over those; names this data set.
        names: [N] names.
        excluded: name -> reason; `indices` leaves these out.
        attributes: int8 [N, 40]; 1 present, 0 absent, -1 unspecified.
        splits: str [N]; generator, judges or test.
        identities: name -> identity of the faces whose person is known; None where no file says.
        factors: name -> geometry and appearance it was drawn with; None where no file says.
        has_mask: bool [N].
        attribute_predicted: bool [N, 40]; which values of `attributes` a judge gave.
        mask_predicted: bool [N]; which masks a judge gave.
        predicted_manifest: that of `predicted/`, {} where its labels were not asked for.
    """

    def __init__(
        self,
        root: Path,
        manifest: dict[str, Any],
        names: list[str],
        attributes: np.ndarray,
        splits: np.ndarray,
        identities: dict[str, str] | None = None,
        factors: dict[str, Factors] | None = None,
    ) -> None:
        self.root, self.manifest = root, manifest
        self.image_size: int = manifest["image_size"]
        self.source: str = manifest["source"]
        self.excluded = read_exclusions(root)
        self.data_hash: str = manifest["data_hash"]
        if self.excluded:
            self.data_hash = hash_of([self.data_hash, sorted(self.excluded)])
        self.names, self.attributes, self.splits = names, attributes, splits
        self.identities, self.factors = identities, factors
        files = manifest["files"]
        self.has_mask = np.array([f"masks/{name}.png" in files for name in names], bool)
        self.attribute_predicted = np.zeros(attributes.shape, bool)
        self.mask_predicted = np.zeros(len(names), bool)
        self.predicted_manifest: dict[str, Any] = {}
        self._suffixes = ["jpg" if f"images/{name}.jpg" in files else "png" for name in names]

    @classmethod
    def open(cls, root: str | Path, labels: str = "true") -> PreparedFolder:
        """Read manifest, attributes and splits, and check that every file is there.

        Args:
            labels: "true" reads the truth alone; "all" adds what judges said where there is no
                truth (`facecond data label`).

        Raises:
            UserError: it is not a prepared folder, files are missing, or attributes.csv, the
                splits, the identities or the factors are not those that were prepared.
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
        people = read_identities(root / IDENTITIES) if IDENTITIES in manifest["files"] else None
        factors = read_factors(root / FACTORS) if FACTORS in manifest["files"] else None
        folder = cls(root, manifest, names, attributes, splits, people, factors)
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
            + (f"; {int(self._left_out().sum())} excluded" if self.excluded else "")
        )

    def indices(self, split: str) -> np.ndarray:
        """int64 [n]: the rows of a split that are not excluded, in the order of the folder.

        Raises:
            UserError: there are none.
        """
        rows = np.flatnonzero((self.splits == split) & ~self._left_out())
        if not len(rows):
            fix = f"Prepare the data with a larger share for it (splits: {', '.join(SPLITS)})."
            raise UserError(f"the split '{split}' is empty", self.root, fix)
        return rows.astype(np.int64)

    def _left_out(self) -> np.ndarray:
        return np.array([name in self.excluded for name in self.names], bool)

    def image(self, index: int) -> np.ndarray:
        """uint8 [S, S, 3]: an image."""
        return self._read(f"images/{self.names[index]}.{self._suffixes[index]}", "RGB")

    def mask(self, index: int) -> np.ndarray:
        """uint8 [S, S]: a mask; 255 everywhere for a face that has none."""
        if not self.has_mask[index]:
            return np.full((self.image_size, self.image_size), ANYTHING, np.uint8)
        name = self.names[index]
        if not self.mask_predicted[index]:
            return self._read(f"masks/{name}.png", "L")
        content = mask_file(self.root / FOLDER, self.predicted_manifest, name)
        return self._read(f"{FOLDER}/masks/{name}.png", "L", content)

    def _read(self, file: str, mode: str, content: bytes | None = None) -> np.ndarray:
        """Pixels of a file, or of its content where that is read already."""
        path = self.root / file
        try:
            with Image.open(path if content is None else io.BytesIO(content)) as picture:
                if mode == "L" and picture.mode != "L":
                    what = f"the mask is of mode {picture.mode}, not 8-bit greyscale"
                    raise UserError(what, path, _PREPARE_ANEW)
                pixels = np.array(picture.convert(mode))
        except (OSError, SyntaxError, ValueError) as error:
            raise UserError(f"cannot be read ({error})", path, _PREPARE_ANEW) from None
        if pixels.shape[:2] != (self.image_size, self.image_size):
            size = f"{pixels.shape[1]}x{pixels.shape[0]}"
            raise UserError(f"is {size}, not {self.image_size} square", path, _PREPARE_ANEW)
        if mode == "L" and not (known := _IS_CLASS[pixels]).all():
            what = f"the mask has the value {pixels[~known][0]}, which is no class"
            raise UserError(what, path, _PREPARE_ANEW)
        return pixels


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
    texts += [optional for optional in (IDENTITIES, FACTORS) if optional in files]
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
