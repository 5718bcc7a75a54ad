"""Masks to start painting from: a template, a random one, a mask file, a photo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facecond.data.masks import TEMPLATES, random_mask, read_mask, template_mask
from facecond.data.pictures import resize_mask
from facecond.errors import UserError
from facecond.evaluation.judges import Judge, open_parser
from facecond.evaluation.photo import align, central_square, parse_face
from facecond.labels import colour_mask
from facecond.models.judges import FaceParser
from facecond.studio.codec import bytes_from_text, file_text, mask_text
from facecond.studio.limits import MASK_SIDE, SEED
from facecond.studio.photos import Photos, file_name
from facecond.studio.request import whole

FILES = ("mask", "photo")
"""Kinds of starts that are uploaded files."""

PARSE_SIZE = 512
"""Side of the crop where the parser reads pictures of any size."""

THUMBNAIL = 64


@dataclass
class Starts:
    """Makes masks of the model's size.

    Attributes:
        size: side of the masks.
        parser: path of a face parser; without one, photos cannot be read.
        detector: path of YuNet's weights; without them, a photo has to be a crop of a face.
    """

    size: int
    parser: str | None = None
    detector: str | None = None

    def __post_init__(self) -> None:
        self.photos = Photos(self.detector)
        self._loaded: Judge[FaceParser] | None = open_parser(self.parser) if self.parser else None

    def make(self, wish: Mapping[str, Any]) -> dict[str, Any]:
        """A mask as text, and in words where it comes from.

        Raises:
            UserError: an unknown kind or template, a file that is no mask or no photo.
        """
        kind = wish.get("kind")
        if kind == "template":
            name = str(wish.get("name"))
            return self._answer(template_mask(name, self.size), f"Template: {name}")
        if kind == "random":
            seed = whole(wish.get("seed"), "seed", 0, SEED)
            return self._answer(random_mask(seed, self.size), f"Random layout {seed}")
        if kind == "mask":
            content = bytes_from_text(wish.get("content"), "the file")
            mask = read_mask(file_name(wish), self.size, content, MASK_SIDE)
            return self._answer(mask, f"Opened {file_name(wish)}")
        if kind == "photo":
            content = bytes_from_text(wish.get("content"), "the file")
            mask = self._parsed(file_name(wish), content)
            return self._answer(mask, f"Read from {file_name(wish)}")
        raise UserError("this kind of mask is unknown", "start", "Reload the page.")

    def thumbnails(self) -> list[dict[str, str]]:
        """Name, words and a small picture of each template."""
        return [
            {"name": name, "words": template.words, "png": _picture(template_mask(name, THUMBNAIL))}
            for name, template in TEMPLATES.items()
        ]

    def _answer(self, mask: np.ndarray, words: str) -> dict[str, Any]:
        return {"mask": mask_text(mask), "words": words}

    def _parsed(self, name: Path, content: bytes) -> np.ndarray:
        """The mask of a photo, uint8 [S, S]."""
        if self._loaded is None:
            fix = "Start the studio with --parser PATH; facecond train judge parser makes one."
            raise UserError("photos need a face parser, and none is loaded", "photo", fix)
        with self.photos.opened(name, content) as photo:
            side = self._loaded.image_size or PARSE_SIZE
            face = parse_face(self._crop(photo, name, side), self._loaded)
        return resize_mask(face.mask, self.size)

    def _crop(self, photo: np.ndarray, name: Path, side: int) -> np.ndarray:
        finder = self.photos.finder()
        if finder is None:
            return central_square(photo, side)
        faces = finder.find(photo)
        if not faces:
            fix = "Give a photo with a face of 60 pixels or more."
            raise UserError("no face found", name, fix)
        return align(photo, faces[0], side)


def _picture(mask: np.ndarray) -> str:
    from facecond.data.writing import encode_png

    return file_text(encode_png(colour_mask(mask)))
