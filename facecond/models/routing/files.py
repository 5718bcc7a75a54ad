"""Routing files: a whole table (JSON), or rules for a given denoiser (YAML or JSON)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from facecond.config import read_mapping
from facecond.errors import UserError, nearest
from facecond.models.routing.layers import Layer
from facecond.models.routing.presets import PRESETS, preset
from facecond.models.routing.rules import parse_rules
from facecond.models.routing.table import KNOWN, SCHEMA, Routing
from facecond.models.routing.windows import LogSnr, flow_log_snr

KEYS = ("name", "sources", "combine", "rules")


def load_routing(
    path: str | Path,
    layers: Sequence[Layer],
    log_snr_of: LogSnr = flow_log_snr,
    combine: str = "sum",
) -> Routing:
    """The routing that a file describes, over these layers.

    Args:
        path: a table that `Routing.to_dict` made (it must be of the same layers), or a mapping with
            `rules` (see `parse_rules`) and optionally `name`, `sources` and `combine`.
        layers: of the denoiser.
        log_snr_of: tau -> logSNR of the noise schedule that the file's windows are meant in.
        combine: where the file does not say.

    Raises:
        UserError: the file cannot be read or does not fit; the message names it.
    """
    value = read_rules(path)
    if "schema" in value:
        table = Routing.from_dict(value, str(path))
        if table.layers != tuple(layers):
            raise UserError(
                "it was made for another architecture (its layers are not those of the model)",
                path,
                "Write rules with selectors, or make the table from this model.",
            )
        return table
    for key in value:
        if key not in KEYS:
            raise UserError(f"unknown key '{key}'", path, nearest(str(key), KEYS))
    rules = parse_rules(value["rules"], layers, str(path), log_snr_of)
    named = {rule.source for rule in rules}
    default = [source for source in KNOWN if source in named] + sorted(named.difference(KNOWN))
    sources = tuple(map(str, value.get("sources", default)))
    name = str(value.get("name", Path(path).stem))
    return Routing(name, tuple(layers), rules, sources, str(value.get("combine", combine)))


def named_routing(name: str | Path, trained: Routing, log_snr_of: LogSnr) -> Routing:
    """A preset or a routing file, over the layers of a trained routing.

    Raises:
        UserError: an unknown name, a file that does not fit.
    """
    if isinstance(name, str) and name in PRESETS:
        return preset(name, trained.layers, None, trained.combine, log_snr_of)
    if not os.path.isfile(name):
        fix = nearest(str(name), PRESETS)
        raise UserError("no routing file or preset of this name", name, fix)
    return load_routing(name, trained.layers, log_snr_of, trained.combine)


def read_rules(path: str | Path) -> Mapping[str, Any]:
    """The mapping in a YAML or JSON file; it has `schema` (a whole table) or `rules`."""
    value = read_mapping(path)
    if not ("schema" in value or "rules" in value):
        raise UserError(
            "not a routing table",
            path,
            f"It has `rules`, or the schema '{SCHEMA}' (`facecond routing show MODEL --out FILE`).",
        )
    return value
