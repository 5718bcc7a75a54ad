"""A photo as the model and its judges see it: the face cut out, its layout and attributes read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facecond.data.pictures import resize_mask
from facecond.errors import UserError
from facecond.evaluation.judges import Judge, open_classifier, open_parser
from facecond.evaluation.photo import align, central_square, judge_attributes, parse_face
from facecond.labels import ATTRIBUTES, UNSPECIFIED
from facecond.models.judges import AttributeClassifier, FaceParser
from facecond.studio.photos import Photos

PARSE_SIZE = 512
"""Side of the crop where a judge reads pictures of any size."""


@dataclass(frozen=True)
class ReadPhoto:
    """What was read from a photo.

    Attributes:
        crop: uint8 [S, S, 3].
        mask: uint8 [S, S]; None without a parser.
        attributes: int8 [40]; open where nothing is known.
        words: how the crop was found.
    """

    crop: np.ndarray
    mask: np.ndarray | None
    attributes: np.ndarray
    words: str


class PhotoReader:
    """Opens photos and reads them.

    Args:
        parser: path of a face parser; without one, no layouts are read.
        detector: path of YuNet's weights; without them, a photo has to be a crop of a face.
        classifier: folder of an attribute judge; without one, all attributes stay open.

    Raises:
        UserError: a judge that cannot be opened.
    """

    def __init__(
        self, parser: str | None = None, detector: str | None = None, classifier: str | None = None
    ) -> None:
        self.photos = Photos(detector)
        self.parser: Judge[FaceParser] | None = open_parser(parser) if parser else None
        self.classifier: Judge[AttributeClassifier] | None = (
            open_classifier(classifier) if classifier else None
        )

    def mask(self, name: Path, content: bytes, size: int) -> np.ndarray:
        """The layout of a photo, uint8 [size, size].

        Raises:
            UserError: no parser, no photo, or no face in it.
        """
        if self.parser is None:
            fix = "Start the studio with --parser PATH; facecond train judge parser makes one."
            raise UserError("photos need a face parser, and none is loaded", "photo", fix)
        side = self.parser.image_size or PARSE_SIZE
        (crop,), _ = self._crops(name, content, [side])
        return resize_mask(parse_face(crop, self.parser).mask, size)

    def read(self, name: Path, content: bytes, size: int) -> ReadPhoto:
        """A photo and what the judges at hand read from it; each sees it at its own size.

        Raises:
            UserError: no photo, or no face in it.
        """
        sides = [judge.image_size or PARSE_SIZE if judge else size
                 for judge in (self.parser, self.classifier)]  # fmt: skip
        (crop, parsed, judged), words = self._crops(name, content, [size, *sides])
        mask, attributes = None, np.full(len(ATTRIBUTES), UNSPECIFIED, np.int8)
        if self.parser is not None:
            mask = resize_mask(parse_face(parsed, self.parser).mask, size)
        if self.classifier is not None:
            attributes = judge_attributes(judged, self.classifier)
        return ReadPhoto(crop, mask, attributes, words)

    def _crops(
        self, name: Path, content: bytes, sides: Sequence[int]
    ) -> tuple[list[np.ndarray], str]:
        """The face of a photo at several sizes, and in words how it was found."""
        with self.photos.opened(name, content) as photo:
            finder = self.photos.finder()
            if finder is None:
                return [central_square(photo, side) for side in sides], "The central square"
            faces = finder.find(photo)
            if not faces:
                fix = "Give a photo with a face of 60 pixels or more."
                raise UserError("no face found", name, fix)
            words = "The face" if len(faces) == 1 else f"The largest of {len(faces)} faces"
            return [align(photo, faces[0], side) for side in sides], words
