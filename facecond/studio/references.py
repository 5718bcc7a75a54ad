"""Reference faces on the page: photos that come, and what is taken of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from facecond.data.writing import encode_png
from facecond.errors import UserError, nearest, quoted
from facecond.evaluation.photo import reference_square
from facecond.labels import ATTRIBUTES
from facecond.models.reference import Reference
from facecond.studio import limits
from facecond.studio.attributes import spoken
from facecond.studio.codec import bytes_from_text, file_text
from facecond.studio.photos import Photos, file_name, square_from_text

NOTES = {
    "everything": "all that the model learned to take",
    "appearance": "colours, skin and hair",
    "geometry": "shape of the face, pose and expression",
    "identity": "who it is",
}


def takes(known: Sequence[str]) -> list[dict[str, Any]]:
    """Instructions as the page shows them."""
    return [
        {
            "name": take,
            "words": spoken(take),
            "note": NOTES.get(take, ""),
            "single": take in ATTRIBUTES,
        }
        for take in known
    ]


def reference_face(wish: Mapping[str, Any], photos: Photos, size: int) -> dict[str, str]:
    """An uploaded photo as the model sees it: a PNG of its size as text, and in words what was
    done.

    Raises:
        UserError: no photo, or too many pixels.
    """
    name, content = file_name(wish), bytes_from_text(wish.get("content"), "the file")
    with photos.opened(name, content) as photo:
        square, faces = reference_square(photo, photos.finder(), size)
    words = {None: "The central square", 0: "No face found: the central square", 1: "The face"}
    told = words.get(faces, f"The largest of {faces} faces")
    return {"png": file_text(encode_png(square)), "name": str(name), "words": told}


def read_references(
    given: Any, size: int, known: Sequence[str]
) -> tuple[tuple[str, Reference], ...]:
    """The references of a request with the names of their files, one for each thing taken.

    Args:
        given: JSON value: objects of `name`, `content` (as `reference_face` gave it), `take` (a
            list of instructions) and `weight`.
        size: side of the model's pictures.
        known: instructions that the model was taught.

    Raises:
        UserError: too many, a picture of another size or kind, an unknown instruction, a weight
            out of range.
    """
    if not isinstance(given, list) or not all(isinstance(one, Mapping) for one in given):
        raise UserError("the references cannot be read", "references", "Reload the page.")
    if given and not known:
        what = "this model was not trained with references"
        raise UserError(what, "references", "Leave them out.")
    if len(given) > limits.REFERENCES:
        what = f"{len(given)} references are given"
        raise UserError(what, "references", f"Give up to {limits.REFERENCES}.")
    return tuple(
        (str(file_name(one)), reference) for one in given for reference in _taken(one, size, known)
    )


def _taken(given: Mapping[str, Any], size: int, known: Sequence[str]) -> list[Reference]:
    weight: Any = given.get("weight")
    asked: Any = given.get("take")
    number = isinstance(weight, int | float) and not isinstance(weight, bool)
    if not (number and math.isfinite(weight) and 0 <= weight <= limits.WEIGHT):
        what = f"the weight of a reference is {quoted(weight)}"
        raise UserError(what, "references", f"Choose 0 to {limits.WEIGHT:g}.")
    some = isinstance(asked, list) and 1 <= len(asked) <= limits.TAKES
    if not some or not all(isinstance(take, str) for take in asked):
        fix = f"Name 1 to {limits.TAKES} things."
        raise UserError("what to take from a reference cannot be read", "references", fix)
    for take in asked:
        if take not in known:
            what = f"this model was not taught to take {quoted(take)}"
            raise UserError(what, "references", nearest(take, known))
    picture = square_from_text(file_name(given), given.get("content"), size)
    return [Reference(picture, take, float(weight)) for take in dict.fromkeys(asked)]
