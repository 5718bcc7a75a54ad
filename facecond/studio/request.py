"""What a click on "draw" asks for: read from JSON, checked against limits and the model."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from facecond.errors import UserError, nearest, quoted
from facecond.models.reference import Reference
from facecond.models.routing import Routing
from facecond.studio import limits
from facecond.studio.attributes import attribute_values
from facecond.studio.codec import mask_from_text
from facecond.studio.references import read_references
from facecond.studio.routing_grid import without

TOKEN = re.compile(r"[A-Za-z0-9-]{8,64}")


@dataclass(frozen=True)
class DrawRequest:
    """One checked request.

    Attributes:
        job: name that the page gives it, to cancel it by.
        client: name of the page: each may have one request at a time.
        attributes: int8 [40].
        mask: uint8 [S, S].
        guidance: scale per source that the model reads.
        seeds: one per face, counted up from the first.
        references: with the names of their files.
    """

    job: str
    client: str
    attributes: np.ndarray
    mask: np.ndarray
    guidance: dict[str, float]
    steps: int
    seeds: list[int]
    routing: Routing
    references: tuple[tuple[str, Reference], ...] = ()


def read_request(
    value: Any,
    image_size: int,
    sources: tuple[str, ...],
    trained: Routing,
    taught: tuple[str, ...] = (),
) -> DrawRequest:
    """JSON value -> request; raises `UserError` in words that the page can show.

    Args:
        sources: what a scale may be given for.
        trained: routing of the model.
        taught: what it can take from a reference.
    """
    given = mapping(value, "the request")
    count = whole(given.get("count"), "number of faces", 1, limits.COUNT)
    seed = whole(given.get("seed"), "seed", 0, limits.SEED)
    return DrawRequest(
        job=token(given.get("job")),
        client=token(given.get("client")),
        attributes=attribute_values(mapping(given.get("attributes", {}), "the attributes")),
        mask=mask_from_text(given.get("mask"), image_size),
        guidance=source_scales(mapping(given.get("guidance", {}), "the guidance"), sources),
        steps=whole(given.get("steps"), "number of steps", 1, limits.STEPS),
        seeds=[seed + i for i in range(count)],
        routing=without(trained, dark_cells(given.get("off", []), trained)),
        references=read_references(given.get("references", []), image_size, taught),
    )


def mapping(value: Any, what: str) -> Mapping[str, Any]:
    """The value, if it is an object; else a `UserError`."""
    if not isinstance(value, Mapping):
        raise UserError(f"{what} cannot be read", "request", "Reload the page.")
    return value


def whole(value: Any, what: str, low: int, high: int) -> int:
    """The value, if it is a whole number from low to high; else a `UserError`."""
    is_whole = isinstance(value, int | float) and not isinstance(value, bool)
    if not (is_whole and low <= value <= high and value == int(value)):
        raise UserError(f"the {what} is {quoted(value)}", what, f"Choose {low} to {high}.")
    return int(value)


def token(value: Any) -> str:
    """The value, if it can name a job or a page; else a `UserError`."""
    if not (isinstance(value, str) and TOKEN.fullmatch(value)):
        raise UserError("the request has no name", "request", "Reload the page.")
    return value


def source_scales(given: Mapping[str, Any], sources: tuple[str, ...]) -> dict[str, float]:
    """Scale per source, if each is of `sources` and in range; else a `UserError`."""
    scales = {}
    for name, value in given.items():
        if name not in sources:
            what = f"unknown source {quoted(name)}"
            raise UserError(what, "guidance", nearest(str(name), sources))
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (number and math.isfinite(value) and 0 <= value <= limits.SCALE):
            fix = f"Choose 0 to {limits.SCALE:g}."
            raise UserError(f"the scale of '{name}' is {quoted(value)}", "guidance", fix)
        scales[str(name)] = float(value)
    return scales


def dark_cells(given: Any, trained: Routing) -> list[tuple[str, str]]:
    """Pairs (layer, source) to switch off; a `UserError` for anything else."""
    cells = len(trained.layers) * len(trained.sources)
    some = isinstance(given, list) and len(given) <= cells
    pairs = some and all(isinstance(cell, list) and len(cell) == 2 for cell in given)
    if not pairs or not all(isinstance(word, str) for cell in given for word in cell):
        raise UserError("the routing cannot be read", "routing", "Reload the page.")
    return [(layer, source) for layer, source in given]
