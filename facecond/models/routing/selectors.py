"""Selectors: the layers that a rule means, from a short text.

    *                               every layer
    group:coarse, group:fine        see `layers.groups`
    stage:mid                       by stage
    res<=16                         by resolution (<, <=, =, >=, >)
    down_blocks.*.attentions.0.**   `*` stands within one segment, a last `**` for any rest
    rank:FILE:SOURCE:top:0.43       the layers that `facecond sensitivity` found to answer to SOURCE
    ID                              one layer

A rank takes `top`, `bottom` or `random` (with an optional `:SEED` behind). All three take the same
number of layers: the fraction of all, but no more than there are layers whose score beats its
control. A name never matches by its beginning, so `attentions.1` is not `attentions.10`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

import numpy as np

from facecond.errors import UserError, nearest
from facecond.models.routing.layers import Layer, checksum, groups
from facecond.seeding import key_of
from facecond.storage import read_json

COMPARISONS = {
    "<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt, "=": operator.eq,
}  # fmt: skip
RANK = re.compile(
    r"rank:(?P<file>.+?):(?P<source>[a-z]+(?::[a-z]+)?):(?P<end>top|bottom|random)"
    r":(?P<fraction>[0-9.]+)(?::(?P<seed>\d+))?"
)
SENSITIVITY_SCHEMA = "facecond.sensitivity/1"


def select(selector: str, layers: Sequence[Layer], where: str) -> tuple[str, ...]:
    """Ids of the layers that a selector means, in order of execution.

    Raises:
        UserError: it is mistyped or matches no layer; a rank file that cannot be used. The message
            begins with `where`.
    """
    ids = [layer.id for layer in layers]
    found: Sequence[str]
    if selector in ids:
        return (selector,)
    if selector.startswith("rank:"):
        return _ranked(selector, layers, where)
    if selector.startswith("group:"):
        named = {key: value for key, value in groups(layers).items() if key != "all"}
        name = selector.removeprefix("group:")
        if name not in named:
            raise UserError(f"unknown group '{name}'", where, nearest(name, named))
        found = named[name]
    elif selector.startswith("stage:"):
        stage = selector.removeprefix("stage:")
        if stage not in ("down", "mid", "up"):
            fix = nearest(stage, ("down", "mid", "up"))
            raise UserError(f"unknown stage '{stage}'", where, fix)
        found = [layer.id for layer in layers if layer.stage == stage]
    elif matched := re.fullmatch(r"res\s*(<=|>=|<|>|=)\s*(\d+)", selector):
        holds, side = COMPARISONS[matched[1]], int(matched[2])
        found = [layer.id for layer in layers if holds(layer.resolution, side)]
    elif any(sign in selector for sign in "*?["):
        found = [name for name in ids if _matches(name, selector)]
    else:
        raise UserError(f"there is no layer '{selector}'", where, nearest(selector, ids))
    if not found:
        sides = sorted({layer.resolution for layer in layers})
        raise UserError(
            f"'{selector}' matches no layer",
            where,
            f"The layers begin with {ids[0]} and have resolutions {sides}.",
        )
    return tuple(found)


def _matches(name: str, pattern: str) -> bool:
    """Segment by segment; `*` alone and a last `**` stand for any rest."""
    segments, wanted = name.split("."), pattern.split(".")
    if wanted[-1] == "**" or pattern == "*":
        wanted = wanted[:-1]
        segments = segments[: len(wanted)]
    return len(segments) == len(wanted) and all(map(fnmatchcase, segments, wanted))


def _ranked(selector: str, layers: Sequence[Layer], where: str) -> tuple[str, ...]:
    matched = RANK.fullmatch(selector)
    form = "Write rank:FILE:SOURCE:top|bottom|random:FRACTION, e.g. rank:s.json:mask:top:0.43."
    if matched is None:
        raise UserError(f"'{selector}' is not a rank", where, form)
    file, source = matched["file"], matched["source"]
    try:
        fraction = float(matched["fraction"])
    except ValueError:
        raise UserError(f"'{matched['fraction']}' is no number", where, form) from None
    if not 0 < fraction <= 1:
        raise UserError(f"fraction {fraction} is not in (0, 1]", where, form)
    found = read_json(file)
    if not isinstance(found, dict) or found.get("schema") != SENSITIVITY_SCHEMA:
        raise UserError(
            "not a sensitivity file",
            f"{where}, {file}",
            f"Its schema must be '{SENSITIVITY_SCHEMA}': name what `facecond sensitivity` wrote.",
        )
    if found.get("checksum") != checksum(layers):
        raise UserError(
            "it was measured on another architecture (its checksum is not that of these layers)",
            f"{where}, {file}",
            "Run `facecond sensitivity` on a model of this architecture.",
        )
    orders, ranks = found.get("order", {}), found.get("rank", {})
    if source not in orders or source not in ranks:
        raise UserError(f"it has no source '{source}'", f"{where}, {file}", nearest(source, orders))
    order, beating = list(orders[source]), len(ranks[source])
    if not beating:
        raise UserError(
            f"no layer's score for '{source}' beats its control: there is nothing to rank",
            f"{where}, {file}",
            "Measure with more images, or on a model that was trained for longer.",
        )
    count = min(max(1, round(fraction * len(layers))), beating)
    if matched["end"] == "top":
        chosen = order[:count]
    elif matched["end"] == "bottom":
        chosen = order[-count:]
    else:
        draw = np.random.default_rng(key_of(int(matched["seed"] or 0), "rank", source))
        chosen = [order[i] for i in draw.choice(len(order), count, replace=False)]
    return tuple(layer.id for layer in layers if layer.id in set(chosen))
