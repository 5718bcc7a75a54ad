"""Photos to edit: what is read from one that comes, and what a click on "edit" asks for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from facecond.data.writing import encode_png
from facecond.editing.regions import REGIONS, region_names
from facecond.errors import UserError, quoted
from facecond.evaluation.judges import Judge
from facecond.labels import ATTRIBUTES, PRESENT, UNSPECIFIED, exclusive_with
from facecond.models.routing import Routing
from facecond.studio import limits
from facecond.studio.attributes import attribute_values
from facecond.studio.codec import bytes_from_text, file_text, mask_from_text, mask_text
from facecond.studio.photo_reader import PhotoReader
from facecond.studio.photos import file_name, square_from_text
from facecond.studio.request import dark_cells, mapping, source_scales, token, whole
from facecond.studio.routing_grid import without

REGIONS_SHOWN = tuple(
    name for name in REGIONS if name != "background" and not name.startswith(("l_", "r_", "u_"))
)
"""Regions that the page offers: left and right are one."""


@dataclass(frozen=True)
class EditRequest:
    """One checked request.

    Attributes:
        job: name that the page gives it, to cancel it by.
        client: name of the page: each may have one request at a time.
        name: of the photo's file.
        photo: uint8 [S, S, 3].
        change: attributes to set, int8 [40].
        shown: attributes that the photo shows, int8 [40].
        layout: of the photo, uint8 [S, S]; None = not known.
        layout_from, attributes_from: where layout and `shown` are from, as a record says it.
        new_layout: the one wanted; None = its own.
        region: names of `REGIONS` that the change keeps to; None = where each attribute shows.
        strength: noise level to go back to, in (0, 1].
        steps: each way.
        guidance: scale per source that the model reads.
    """

    job: str
    client: str
    name: str
    photo: np.ndarray
    change: np.ndarray
    shown: np.ndarray
    layout: np.ndarray | None
    layout_from: Mapping[str, Any]
    attributes_from: Mapping[str, Any]
    new_layout: np.ndarray | None
    region: tuple[str, ...] | None
    strength: float
    steps: int
    guidance: dict[str, float]
    routing: Routing


def photo_to_edit(wish: Mapping[str, Any], reader: PhotoReader, size: int) -> dict[str, Any]:
    """An uploaded photo as the page keeps it: `{"name", "content"}` -> `{"name", "png", "words",
    "mask" (text or None), "shown" ({attribute: 1 or 0})}`.

    Raises:
        UserError: no photo, too many pixels, or no face in it.
    """
    name = file_name(wish)
    read = reader.read(name, bytes_from_text(wish.get("content"), "the file"), size)
    sure = agreed(read.attributes)
    known = {n: int(v == PRESENT) for n, v in zip(ATTRIBUTES, sure, strict=True)
             if v != UNSPECIFIED}  # fmt: skip
    return {
        "name": str(name),
        "png": file_text(encode_png(read.crop)),
        "words": read.words,
        "mask": None if read.mask is None else mask_text(read.mask),
        "shown": known,
    }


def agreed(attributes: np.ndarray) -> np.ndarray:
    """Attributes int8 [40] with those left open that a judge saw together though they exclude each
    other."""
    found = attributes.copy()
    for column in np.flatnonzero(attributes == PRESENT):
        others = exclusive_with(ATTRIBUTES[column])
        if (attributes[others] == PRESENT).any():
            found[column] = UNSPECIFIED
    return found


def read_edit(
    value: Any,
    image_size: int,
    sources: tuple[str, ...],
    trained: Routing,
    reader: PhotoReader,
) -> EditRequest:
    """JSON value -> request; raises `UserError` in words that the page can show.

    Args:
        sources: conditions that the model reads.
        trained: routing of the model.
        reader: that read the photo.
    """
    given = mapping(value, "the request")
    photo = mapping(given.get("photo"), "the photo")
    change = attribute_values(mapping(given.get("attributes", {}), "the attributes"))
    shown = attribute_values(mapping(photo.get("shown", {}), "what the photo shows"))
    layout = _layout(photo.get("mask"), image_size)
    by_hand = {"painted": "in the studio"} if layout is not None else {"none": "all"}
    read = layout is not None and photo.get("painted") is False
    return EditRequest(
        job=token(given.get("job")),
        client=token(given.get("client")),
        name=str(file_name(photo)),
        photo=square_from_text(file_name(photo), photo.get("png"), image_size),
        change=change,
        shown=shown,
        layout=layout,
        layout_from=told(reader.parser, "parser") if read else by_hand,
        attributes_from=told(reader.classifier, "classifier")
        if (shown != UNSPECIFIED).any()
        else {},
        new_layout=_layout(given.get("mask"), image_size),
        region=_region(given.get("where", [])),
        strength=_strength(given.get("strength")),
        steps=whole(given.get("steps"), "number of steps", 1, limits.STEPS),
        guidance=source_scales(mapping(given.get("guidance", {}), "the guidance"), sources),
        routing=without(trained, dark_cells(given.get("off", []), trained)),
    )


def told(judge: Judge[Any] | None, kind: str) -> dict[str, str]:
    """A judge, as a record names it; nothing for none."""
    return {} if judge is None else {kind: str(judge.path), "weights": judge.weights}


def _layout(text: Any, size: int) -> np.ndarray | None:
    return None if text is None else mask_from_text(text, size)


def _region(given: Any) -> tuple[str, ...] | None:
    """Names of regions; None for none."""
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        raise UserError("where to edit cannot be read", "where", "Reload the page.")
    return region_names([name[:60] for name in given]) if given else None


def _strength(value: Any) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number and math.isfinite(value) and 0 < value <= 1):
        what = f"the strength is {quoted(value)}"
        raise UserError(what, "strength", "Choose above 0, up to 1.")
    return float(value)
