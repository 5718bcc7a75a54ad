"""A copy of a plain folder whose files and rows may be changed at will."""

from __future__ import annotations

import csv
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from facecond.data.exclusions import read_exclusions
from facecond.data.splits import assign_splits
from facecond.data.table import IMAGE_SUFFIXES, FaceTable, find_table, read_table
from facecond.errors import UserError
from facecond.labels import ATTRIBUTES, UNSPECIFIED
from facecond.seeding import numpy_generator
from facecond.storage import make_folder

_CELEBA_CODING = {1: "1", 0: "-1", UNSPECIFIED: ""}
_ZERO_CODING = {1: "1", 0: "0", UNSPECIFIED: ""}


@dataclass
class PlainCopy:
    """images/, masks/ and the rows of a table, with splits and one identity a face.

    Attributes:
        root: the copy.
        source: the folder it was made from.
        names: faces copied; twins added later are not among them.
        values: name -> int8 [40].
        splits, identities: name -> word of the table.
        rows: names in the order of the table.
        broken: names whose row is to hold a word that is no value.
        zero_coded: names whose row is to code absent as 0 and not as -1.
        touched: names that a fault befell.
    """

    root: Path
    source: Path
    names: list[str]
    values: dict[str, np.ndarray]
    splits: dict[str, str]
    identities: dict[str, str]
    rows: list[str]
    broken: set[str] = field(default_factory=set)
    zero_coded: set[str] = field(default_factory=set)
    touched: set[str] = field(default_factory=set)
    _areas: dict[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def make(cls, source: Path, root: Path, seed: int, count: int | None) -> PlainCopy:
        """Copy the faces of `source` that have image and mask, at most `count` of them.

        Those that its excluded.txt names stay behind: so known faults do not count as clean.

        Raises:
            UserError: the source is no plain folder, or the copy exists already.
        """
        images = {p.stem: p for p in _files(source / "images")}
        masks = {p.stem: p for p in _files(source / "masks")}
        names = sorted((images.keys() & masks.keys()) - read_exclusions(source).keys())
        if not names:
            raise UserError("holds no images with masks", source, "Give a plain folder.")
        if root.exists():
            raise UserError("exists already", root, "Choose a new folder.")
        path = find_table(source)
        table = read_table(path) if path else FaceTable()
        unknown = np.full(len(ATTRIBUTES), UNSPECIFIED, np.int8)
        values = {name: table.attributes.get(name, unknown).copy() for name in names}
        order = numpy_generator(seed, "copy").permutation(len(names))
        drawn = sorted(order.tolist(), key=lambda i: bool((values[names[i]] < 0).all()))
        names = sorted(names[i] for i in drawn[:count])
        for folder, files in (("images", images), ("masks", masks)):
            make_folder(root / folder)
            for name in names:
                shutil.copyfile(files[name], root / folder / files[name].name)
        splits = dict(zip(names, assign_splits(names, seed, 0.2, 0.2), strict=True))
        kept = {name: values[name] for name in names}
        return cls(root, source, names, kept, splits, {n: n for n in names}, list(names))

    def image(self, name: str) -> Path:
        """The image file of a face."""
        return next(path for path in sorted((self.root / "images").glob(f"{name}.*")))

    def mask(self, name: str) -> Path:
        """The mask file of a face."""
        return self.root / "masks" / f"{name}.png"

    def pixels(self, name: str) -> np.ndarray:
        """uint8 [H, W, 3]: the image of a face."""
        with Image.open(self.image(name)) as picture:
            return np.asarray(picture.convert("RGB"))

    def classes(self, name: str) -> np.ndarray:
        """uint8 [H, W]: the mask of a face, as it is now."""
        with Image.open(self.mask(name)) as picture:
            return np.asarray(picture)

    def original_mask(self, name: str) -> np.ndarray:
        """uint8 [H, W]: the mask of a face, as it was in the source."""
        with Image.open(self.source / "masks" / f"{name}.png") as picture:
            return np.asarray(picture)

    def area(self, name: str, value: int) -> float:
        """Share of a class in the original mask."""
        if name not in self._areas:
            mask = self.original_mask(name)
            self._areas[name] = np.bincount(mask.ravel(), minlength=256) / mask.size
        return float(self._areas[name][value])

    def save_image(self, name: str, pixels: np.ndarray) -> None:
        """Replace the image of a face, in its own format."""
        path = self.image(name)
        if path.suffix.lower() in (".jpg", ".jpeg"):
            Image.fromarray(pixels).save(path, quality=92)
        else:
            Image.fromarray(pixels).save(path)

    def add_twin(self, name: str, twin: str, other_split: bool) -> None:
        """Copy files and row under a new name, into the same or into another split."""
        shutil.copyfile(self.image(name), self.root / "images" / f"{twin}{self.image(name).suffix}")
        shutil.copyfile(self.mask(name), self.mask(twin))
        self.values[twin], self.identities[twin] = self.values[name].copy(), twin
        mine = self.splits[name]
        self.splits[twin] = (
            ("generator" if mine != "generator" else "test") if other_split else mine
        )
        self.rows.append(twin)

    def write_table(self) -> None:
        """Write attributes.csv."""
        with open(self.root / "attributes.csv", "w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["name", "identity", "split", *ATTRIBUTES])
            for name in self.rows:
                coding = _ZERO_CODING if name in self.zero_coded else _CELEBA_CODING
                words = [coding[int(value)] for value in self.values[name]]
                if name in self.broken:
                    words[-1] = "yes"
                table.writerow([name, self.identities[name], self.splits[name], *words])


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES]
