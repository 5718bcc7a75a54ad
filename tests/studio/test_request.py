"""What the page asks for: read as it was meant, refused in words beyond the limits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from facecond.errors import UserError
from facecond.labels import ATTRIBUTES
from facecond.studio.request import DrawRequest, read_request
from facecond.studio.session import ModelSession


def read(value: Any, session: ModelSession) -> DrawRequest:
    trained = session.pipeline.unet.trained_routing
    return read_request(value, session.image_size, session.sources, trained)


def test_a_request_is_read(wish: dict[str, Any], session: ModelSession) -> None:
    trained = session.pipeline.unet.trained_routing
    layer = trained.layers[0].id
    request = read({**wish, "off": [[layer, "mask"]]}, session)
    assert (request.mask == 13).all() and request.mask.shape == (32, 32)
    assert request.attributes[ATTRIBUTES.index("Smiling")] == 1
    assert (request.attributes == -1).sum() == 38
    assert request.seeds == [7, 8] and request.steps == 3
    assert request.guidance == {"mask": 2.0, "attributes": 1.0}
    row = trained.gates()[0].copy()
    row[trained.sources.index("mask")] = 0
    assert np.array_equal(request.routing.gates()[0], row)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": 17}, "number of faces is 17.*Choose 1 to 16"),
        ({"count": 0}, "Choose 1 to 16"),
        ({"count": 2.5}, "Choose 1 to 16"),
        ({"count": True}, "Choose 1 to 16"),
        ({"count": "8"}, "Choose 1 to 16"),
        ({"count": float("nan")}, "Choose 1 to 16"),
        ({"steps": 51}, "number of steps is 51.*Choose 1 to 50"),
        ({"steps": 1e300}, "Choose 1 to 50"),
        ({"seed": -1}, "seed"),
        ({"seed": None}, "seed"),
        ({"guidance": {"mask": 11}}, "Choose 0 to 10"),
        ({"guidance": {"mask": float("inf")}}, "Choose 0 to 10"),
        ({"guidance": {"masks": 1}}, "Did you mean 'mask'"),
        ({"guidance": []}, "guidance cannot be read"),
        ({"attributes": {"Bald": 1, "Gray_Hair": 1}}, "exclude each other"),
        ({"attributes": "Smiling"}, "attributes cannot be read"),
        ({"mask": None}, "mask is missing"),
        ({"off": [["nowhere", "mask"]]}, "no trained cell"),
        ({"off": "all"}, "routing cannot be read"),
        ({"off": [["a", "mask"]] * 10_000}, "routing cannot be read"),
        ({"references": [{}]}, "not trained with references"),
        ({"references": {}}, "references cannot be read"),
        ({"off": [[1, 2]]}, "routing cannot be read"),
        ({"job": ""}, "no name"),
        ({"job": "../../etc/passwd"}, "no name"),
        ({"client": 5}, "no name"),
    ],
)
def test_bad_requests(
    change: dict[str, Any], message: str, wish: dict[str, Any], session: ModelSession
) -> None:
    with pytest.raises(UserError, match=message):
        read({**wish, **change}, session)


@pytest.mark.parametrize("value", [None, [], "x", 3])
def test_what_is_no_request(value: Any, session: ModelSession) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read(value, session)
