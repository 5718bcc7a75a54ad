"""Whether a record holds all that a face is made again from, each field of its kind and range."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from facecond.errors import UserError
from facecond.labels import ABSENT, ATTRIBUTES, PRESENT, UNSPECIFIED

LARGEST_BATCH = 65536
MOST_STEPS = 1000
MOST_THREADS = 4096

Check = Callable[[Any], bool]
_HASH = re.compile(r"[0-9a-f]{64}")


def checked_record(record: Mapping[str, Any], where: str | Path) -> Mapping[str, Any]:
    """The record, if a face can be made again from it.

    Fields that came later may be missing: what they say is then not known.

    Raises:
        UserError: a field that is missing, of another kind or out of range.
    """
    for name, holds in REQUIRED.items():
        if name not in record:
            raise _damaged(f"'{name}' is missing", where)
        if not holds(record[name]):
            raise _damaged(f"'{name}' is {str(record[name])[:40]}", where)
    for name, holds in OPTIONAL.items():
        if name in record and not holds(record[name]):
            raise _damaged(f"'{name}' is {str(record[name])[:40]}", where)
    if record["batch_index"] >= record["batch_size"]:
        told = f"'batch_index' is {record['batch_index']} of {record['batch_size']}"
        raise _damaged(told, where)
    if (record["weaker"] is None) != (record["weaker_hash"] is None):
        raise _damaged("'weaker' and 'weaker_hash' do not go together", where)
    return record


def _damaged(told: str, where: str | Path) -> UserError:
    return UserError(f"its record is damaged ({told})", where, "Draw it anew.")


def _whole(low: int, high: float = math.inf) -> Check:
    def holds(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high

    return holds


def _number(value: Any, low: float = 0.0, high: float = math.inf) -> bool:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return plain and math.isfinite(value) and low <= value <= high


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_hash(value: Any) -> bool:
    return isinstance(value, str) and bool(_HASH.fullmatch(value))


def _texts(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(word, str) for word in value.values())


def _values(value: Any) -> bool:
    known = (PRESENT, ABSENT, UNSPECIFIED)
    return (
        isinstance(value, dict)
        and set(value) == set(ATTRIBUTES)
        and all(_whole(-1, 1)(one) and one in known for one in value.values())
    )


def _scales(value: Any) -> bool:
    return isinstance(value, dict) and all(_number(scale) for scale in value.values())


def _interval(value: Any) -> bool:
    pair = isinstance(value, list) and len(value) == 2
    return pair and all(_number(bound, 0, 1) for bound in value) and value[0] < value[1]


def _references(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(told, dict)
        and _text(told.get("file"))
        and _is_hash(told.get("sha256"))
        and _text(told.get("take"))
        and _number(told.get("weight"))
        for told in value
    )


def _or_none(holds: Check) -> Check:
    return lambda value: value is None or holds(value)


REQUIRED: Mapping[str, Check] = {
    "seed": _whole(0),
    "attribute_values": _values,
    "mask": _text,
    "mask_sha256": _is_hash,
    "model": _text,
    "model_hash": _is_hash,
    "guidance": _scales,
    "guidance_interval": _or_none(_interval),
    "guidance_rescale": lambda value: _number(value, 0, 1),
    "weaker": _or_none(_text),
    "weaker_hash": _or_none(_is_hash),
    "scheduler": _text,
    "scheduler_hash": _is_hash,
    "steps": _whole(1, MOST_STEPS),
    "routing_hash": _is_hash,
    "batch_size": _whole(1, LARGEST_BATCH),
    "batch_index": _whole(0, LARGEST_BATCH - 1),
    "device": _text,
    "precision": _text,
    "threads": _whole(1, MOST_THREADS),
    "versions": _texts,
}
"""Fields of every record -> what their value must be."""
OPTIONAL: Mapping[str, Check] = {
    "file": _text,
    "mask_png": _text,
    "routing_table": lambda value: isinstance(value, dict),
    "references": _references,
    "machine": _texts,
    "compiled": lambda value: isinstance(value, bool),
    "feature_reuse": _whole(1, MOST_STEPS),
}
