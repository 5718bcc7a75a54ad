"""Marks of pictures that hold more, or less, than one recorded face: that they are synthetic.

The files of `facecond sample` say far more (`face_files.record`).
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from facecond import __version__

TEXT_FIELD = "facecond"
"""Text field of a PNG that holds a mark, or the record of a face, as JSON."""
MARK_SCHEMA = "facecond.mark/1"
ORIGIN = "synthetic face, drawn by facecond"
SEVERAL = "synthetic faces, drawn by facecond"
_DESCRIPTION, _SOFTWARE = 0x010E, 0x0131
"""EXIF tags ImageDescription and Software."""


def words_of(origin: str = SEVERAL, model_hash: str | None = None) -> str:
    """The mark as one line of ASCII, for formats that have a comment alone."""
    model = "" if model_hash is None else f", model {model_hash}"
    return f"{origin} {__version__}{model}"


def png_text(origin: str = SEVERAL, model_hash: str | None = None) -> PngInfo:
    """The mark as text of a PNG: `Software` and `Description` for everyone, JSON for programs."""
    told = {"schema": MARK_SCHEMA, "origin": origin, "version": __version__}
    told |= {} if model_hash is None else {"model_hash": model_hash}
    info = PngInfo()
    info.add_text("Software", f"facecond {__version__}")
    info.add_text("Description", origin)
    info.add_text(TEXT_FIELD, json.dumps(told))
    return info


class MarkedImage(Image.Image):
    """A picture of PIL whose files say that it is synthetic.

    Pillow writes next to nothing of `info` on its own: `save` gives it the mark as text of a PNG,
    as EXIF (JPEG, WebP, TIFF, AVIF) and as a comment (JPEG, GIF). What is said in `save` goes
    first. Pictures made from it (`resize`, ...) keep `info`, and with it the comment alone.
    """

    @classmethod
    def of(cls, pixels: np.ndarray) -> Image.Image:
        """The picture of one face, uint8 [H, W, 3]."""
        picture = Image.fromarray(pixels)
        picture.__class__ = cls  # Pillow has no other way to a class of one's own
        picture.info |= {"Software": f"facecond {__version__}", "Description": ORIGIN}
        picture.info["comment"] = words_of(ORIGIN)
        return picture

    def save(self, fp: Any, format: str | None = None, **params: Any) -> None:
        """As PIL does it, with the mark."""
        exif = Image.Exif()
        exif[_DESCRIPTION], exif[_SOFTWARE] = ORIGIN, f"facecond {__version__}"
        super().save(fp, format, **{"pnginfo": png_text(ORIGIN), "exif": exif} | params)
