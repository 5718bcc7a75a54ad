"""Masks to start painting from: a template, a random one, a mask file, a photo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from facecond.data.masks import TEMPLATES, random_mask, read_mask, template_mask
from facecond.errors import UserError
from facecond.labels import colour_mask
from facecond.studio.codec import bytes_from_text, file_text, mask_text
from facecond.studio.limits import MASK_SIDE, SEED
from facecond.studio.photo_reader import PhotoReader
from facecond.studio.photos import file_name
from facecond.studio.request import whole

FILES = ("mask", "photo")
"""Kinds of starts that are uploaded files."""

THUMBNAIL = 64


@dataclass
class Starts:
    """Makes masks of the model's size.

    Attributes:
        size: side of the masks.
        reader: of photos.
    """

    size: int
    reader: PhotoReader = field(default_factory=PhotoReader)

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
            mask = self.reader.mask(file_name(wish), content, self.size)
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


def _picture(mask: np.ndarray) -> str:
    from facecond.data.writing import encode_png

    return file_text(encode_png(colour_mask(mask)))
