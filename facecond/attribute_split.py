"""Which attributes the mask tells (geometry) and which it does not (appearance), as measured.

The split and its evidence lie beside this file; `facecond attribute-split` measures them.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

SCHEMA = "facecond.attribute_split/1"
_FILE = Path(__file__).with_name("attribute_split.json")


def geometry() -> tuple[str, ...]:
    """Attributes that a classifier of masks alone tells, in CelebA's order."""
    return _of_kind("geometry")


def appearance() -> tuple[str, ...]:
    """The other attributes, in CelebA's order."""
    return _of_kind("appearance")


@cache
def evidence() -> dict[str, Any]:
    """The content of the file: rule, data, command, versions, and the figures per attribute.

    `attributes[name]` holds `kind`, `uncertain` (few faces, or an interval around the threshold)
    and `measured`, a list of figures in the order of `data`, of which the first decides.
    """
    return json.loads(_FILE.read_text(encoding="utf-8"))


def _of_kind(kind: str) -> tuple[str, ...]:
    attributes = evidence()["attributes"]
    return tuple(name for name, figures in attributes.items() if figures["kind"] == kind)
