"""Routings that have a name.

| preset | what reaches what |
|---|---|
| all_all | every source everywhere |
| coarse_fine | mask -> coarse, attributes -> fine layers (DEADiff's split of content and style) |
| fine_coarse | the reverse: the control |
| mask_all_attr_fine | mask everywhere, attributes -> fine |
| split_attr | geometry attributes -> coarse, appearance -> fine; mask coarse, and fine at 0.5 |
| early_late | mask tau [0.15, 1], attributes [0, 0.85), crossfading (Collaborative Diffusion) |
| deadiff | attributes and mask everywhere; of a reference, appearance -> fine, geometry -> coarse |
| mask_cut | attributes everywhere, mask only at tau >= 0.85 (Conditional Balance's lambda_T) |
| rank_topk, rank_bottomk, rank_randk | per source the layers of highest, lowest or random rank |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from facecond.errors import UserError, nearest
from facecond.models.routing.layers import Layer
from facecond.models.routing.rules import parse_rules
from facecond.models.routing.table import KNOWN, SOURCES, Routing
from facecond.models.routing.windows import LogSnr, flow_log_snr

_ATTRIBUTES, _MASK = {"source": "attributes"}, {"source": "mask"}
RULES: dict[str, list[dict[str, Any]]] = {
    "all_all": [_ATTRIBUTES | {"layers": "*"}, _MASK | {"layers": "*"}],
    "coarse_fine": [_ATTRIBUTES | {"layers": "group:fine"}, _MASK | {"layers": "group:coarse"}],
    "fine_coarse": [_ATTRIBUTES | {"layers": "group:coarse"}, _MASK | {"layers": "group:fine"}],
    "mask_all_attr_fine": [_ATTRIBUTES | {"layers": "group:fine"}, _MASK | {"layers": "*"}],
    "split_attr": [
        {"source": "attributes:geometry", "layers": "group:coarse"},
        {"source": "attributes:appearance", "layers": "group:fine"},
        _MASK | {"layers": "group:coarse"},
        _MASK | {"layers": "group:fine", "scale": 0.5},
    ],
    "early_late": [
        _ATTRIBUTES | {"layers": "*", "tau": [0, 0.85], "schedule": "cosine_late"},
        _MASK | {"layers": "*", "tau": [0.15, 1], "schedule": "cosine_early"},
    ],
    "deadiff": [
        _ATTRIBUTES | {"layers": "*"},
        _MASK | {"layers": "*"},
        {"source": "reference:appearance", "layers": "group:fine"},
        {"source": "reference:geometry", "layers": "group:coarse"},
    ],
    "mask_cut": [_ATTRIBUTES | {"layers": "*"}, _MASK | {"layers": "*", "tau": [0.85, 1]}],
}
EXCLUSIVE = {"deadiff": ("reference:appearance", "reference:geometry")}
"""Sources that a preset promises to lead to different layers."""
RANKED = {"rank_topk": "top", "rank_bottomk": "bottom", "rank_randk": "random"}
PRESETS: tuple[str, ...] = (*RULES, *RANKED)


@dataclass(frozen=True)
class RankChoice:
    """Which layers the rank presets take.

    Attributes:
        sensitivity: file that `facecond sensitivity` wrote.
        fraction: share of all layers, per source; 0.43 is Conditional Balance's default.
        seed: of `rank_randk`.
    """

    sensitivity: str = ""
    fraction: float = 0.43
    seed: int = 0


def preset(
    name: str,
    layers: Sequence[Layer],
    sources: Sequence[str] | None = None,
    combine: str = "sum",
    log_snr_of: LogSnr = flow_log_snr,
    rank: RankChoice | None = None,
) -> Routing:
    """A named routing over these layers.

    Args:
        name: one of `PRESETS`.
        layers: of the denoiser, in order of execution.
        sources: those to route; the rules of others are left out. None: all that the preset names.
        combine: see `COMBINES`.
        log_snr_of: tau -> logSNR of the noise schedule that the preset's windows are meant in.
        rank: what the rank presets read.

    Raises:
        UserError: an unknown name (with the nearest), a source that the preset does not route, a
            rank without its file.
    """
    here = f"routing preset '{name}'"
    if name in RANKED:
        choice = rank or RankChoice()
        if not choice.sensitivity:
            raise UserError(
                "it needs a sensitivity file",
                here,
                "Set routing.sensitivity to what `facecond sensitivity` wrote.",
            )
        rules = []
        for source in sources if sources is not None else SOURCES:
            seed = f":{choice.seed}" if RANKED[name] == "random" else ""
            file, end = choice.sensitivity, RANKED[name]
            rules.append(
                {
                    "source": source,
                    "layers": f"rank:{file}:{source}:{end}:{choice.fraction:g}{seed}",
                }
            )
    elif name in RULES:
        rules = RULES[name]
    else:
        raise UserError(f"unknown routing preset '{name}'", "routing", nearest(name, PRESETS))
    named = tuple(s for s in KNOWN if any(rule["source"] == s for rule in rules))
    wanted = named if sources is None else tuple(sources)
    for source in wanted:
        if source not in named:
            raise UserError(f"it does not route '{source}'", here, nearest(source, named))
    kept = [rule for rule in rules if rule["source"] in wanted]
    parsed = parse_rules(kept, layers, here, log_snr_of)
    reached = [i for rule in parsed if rule.source in EXCLUSIVE.get(name, ()) for i in rule.layers]
    assert len(reached) == len(set(reached)), f"{here}: its exclusive sources share a layer"
    return Routing(name, tuple(layers), parsed, wanted, combine)
