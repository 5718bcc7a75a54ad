"""Uploaded photos: checked before they are decoded, opened one at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facecond.data.pictures import decoded, opened, read_photo
from facecond.errors import UserError
from facecond.studio import limits
from facecond.studio.codec import bytes_from_text

if TYPE_CHECKING:
    from facecond.data.face_finder import FaceFinder

FORMATS = {"JPEG": "JPEG", "MPO": "JPEG", "PNG": "PNG", "WEBP": "WebP"}
"""What Pillow calls a format -> what people call it; MPO is how phones write some JPEGs."""


class Photos:
    """Opens photos.

    Args:
        detector: path of YuNet's weights; without them, no faces are looked for.
        patience: seconds that a photo waits for its turn.
    """

    def __init__(self, detector: str | None = None, patience: float = limits.PHOTO_SECONDS) -> None:
        self.detector, self._patience = detector, patience
        self._turn = threading.Lock()

    @contextmanager
    def opened(self, name: Path, content: bytes) -> Iterator[np.ndarray]:
        """The pixels of a photo, uint8 [H, W, 3]. The next is opened after this one.

        Raises:
            UserError: no photo, too many pixels, or others take too long.
        """
        header = opened(name, content)
        if header.format not in FORMATS:
            fix = f"Give a {', '.join(dict.fromkeys(FORMATS.values()))}."
            raise UserError(f"the photo is a {header.format}", name, fix)
        if header.width * header.height > limits.PHOTO_PIXELS:
            what = f"the photo has {header.width * header.height / 1e6:.0f} million pixels"
            raise UserError(what, name, f"Give up to {limits.PHOTO_PIXELS / 1e6:.0f} million.")
        if not self._turn.acquire(timeout=self._patience):
            raise UserError("others are opening photos", name, "Try again in a moment.")
        try:
            yield read_photo(name, content)
        finally:
            self._turn.release()

    def finder(self) -> FaceFinder | None:
        """What finds faces in photos; None without a detector."""
        if not self.detector:
            return None
        from facecond.data.face_finder import load_finder

        return load_finder(self.detector)


def file_name(wish: Mapping[str, Any]) -> Path:
    """The name of an uploaded file, for messages and records only: nothing is read or written
    there."""
    name = wish.get("name")
    return Path(Path(name[-200:]).name[:60] if isinstance(name, str) and name else "the file")


def square_from_text(name: Path, text: Any, size: int) -> np.ndarray:
    """A picture that the page has from the studio, base64 text of a PNG -> uint8 [size, size, 3].

    Raises:
        UserError: a picture of another size or kind.
    """
    content = bytes_from_text(text, "the picture", 4 * size * size + 4096)
    header = opened(name, content)
    if (header.format, header.mode, header.size) != ("PNG", "RGB", (size, size)):
        what = f"the picture is a {header.format} of {header.width} x {header.height}"
        fix = f"Give a PNG in colour of {size} x {size}."
        raise UserError(what, name, fix)
    return np.array(decoded(name, content))
