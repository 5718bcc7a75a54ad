"""Routing: which source reaches which cross-attention layer at which noise level, as data.

- `layers`: the cross-attention layers of a denoiser, coarse and fine;
- `selectors`: layers by name, pattern, resolution, stage or measured rank;
- `windows`: noise levels in logSNR, and how a gate fades over them;
- `table`: rules, the validated routing, its gates;
- `narrowing`: a routing whose sources hold at fewer noise levels;
- `presets`: the routings that have a name;
- `files`: routing files; `drawing`: a routing as a picture.
"""

from facecond.models.routing.files import load_routing, named_routing
from facecond.models.routing.layers import Layer, checksum, groups
from facecond.models.routing.narrowing import narrowed
from facecond.models.routing.presets import PRESETS, RankChoice, preset
from facecond.models.routing.rules import Rule, parse_rules
from facecond.models.routing.table import (
    COMBINES,
    KNOWN,
    PARTS,
    REFERENCES,
    SCHEMA,
    SOURCES,
    Routing,
    State,
)
from facecond.models.routing.windows import SCHEDULES, Window, flow_log_snr

__all__ = [
    "COMBINES",
    "KNOWN",
    "PARTS",
    "PRESETS",
    "REFERENCES",
    "SCHEDULES",
    "SCHEMA",
    "SOURCES",
    "Layer",
    "RankChoice",
    "Routing",
    "Rule",
    "State",
    "Window",
    "checksum",
    "flow_log_snr",
    "groups",
    "load_routing",
    "named_routing",
    "narrowed",
    "parse_rules",
    "preset",
]
