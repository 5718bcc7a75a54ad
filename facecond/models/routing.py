"""Routing: which condition source reaches which cross-attention layer, as data.

A routing is a list of rules over the layers of one denoiser. It compiles to a matrix of gates
[layer, source] and a state per cell:

- *absent*: no rule; the layer has no parameters for the source;
- *off*: a rule with scale 0; parameters exist, the source is exactly absent from the output;
- *on*: a rule with another scale; the source's attention output is multiplied by it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from facecond.errors import UserError, nearest
from facecond.storage import hash_of

SCHEMA = "facecond.routing/1"
SOURCES: tuple[str, ...] = ("attributes", "mask")
State = Literal["absent", "off", "on"]

PRESETS: dict[str, dict[str, str]] = {
    "all_all": {"attributes": "all", "mask": "all"},
    "coarse_fine": {"mask": "coarse", "attributes": "fine"},
    "fine_coarse": {"mask": "fine", "attributes": "coarse"},
    "mask_all_attr_fine": {"mask": "all", "attributes": "fine"},
}
"""Preset -> source -> group of layers. `coarse_fine` is DEADiff's split (content, style)."""


@dataclass(frozen=True)
class Layer:
    """One cross-attention layer.

    Attributes:
        id: exact module path of the attention, e.g. `mid_block.attentions.0.transformer_blocks.0`.
        stage: `down`, `mid` or `up`.
        resolution: side of the query grid in latent pixels.
    """

    id: str
    stage: str
    resolution: int


@dataclass(frozen=True)
class Rule:
    """`source` reaches `layers` (exact ids, or `("*",)`) with weight `scale`."""

    source: str
    layers: tuple[str, ...]
    scale: float = 1.0


@dataclass(frozen=True)
class Routing:
    """Rules over the layers of one denoiser, in order of execution; validated when made."""

    name: str
    layers: tuple[Layer, ...]
    rules: tuple[Rule, ...]
    sources: tuple[str, ...] = SOURCES

    def __post_init__(self) -> None:
        ids = [layer.id for layer in self.layers]
        seen: dict[tuple[str, str], int] = {}
        for number, rule in enumerate(self.rules):
            where = f"routing '{self.name}', rule {number} ({rule.source})"
            if rule.source not in self.sources:
                raise UserError(
                    f"unknown source '{rule.source}'", where, nearest(rule.source, self.sources)
                )
            if not rule.layers:
                raise UserError("the rule names no layer", where, "Name layers, or '*'.")
            if not math.isfinite(rule.scale):
                raise UserError(f"scale {rule.scale} is not finite", where, "Use a number.")
            for layer in self._expand(rule, where):
                if (layer, rule.source) in seen:
                    other = seen[layer, rule.source]
                    raise UserError(f"rule {other} names {layer} too", where, "Name it once.")
                seen[layer, rule.source] = number
        for source in self.sources:
            if not any((layer, source) in seen for layer in ids):
                raise UserError(
                    f"source '{source}' reaches no layer", f"routing '{self.name}'", "Add a rule."
                )

    def _expand(self, rule: Rule, where: str) -> list[str]:
        ids = [layer.id for layer in self.layers]
        if rule.layers == ("*",):
            return ids
        for name in rule.layers:
            if name not in ids:
                raise UserError(f"there is no layer '{name}'", where, nearest(name, ids))
        return list(rule.layers)

    def gates(self) -> np.ndarray:
        """float32 [L, S]: weight of each source at each layer; 0 where off or absent."""
        gates = np.zeros((len(self.layers), len(self.sources)), np.float32)
        for layer, source, scale in self._cells():
            gates[layer, source] = scale
        return gates

    def states(self) -> list[list[State]]:
        """[L][S] state of each cell."""
        states: list[list[State]] = [["absent"] * len(self.sources) for _ in self.layers]
        for layer, source, scale in self._cells():
            states[layer][source] = "on" if scale else "off"
        return states

    def _cells(self) -> Iterable[tuple[int, int, float]]:
        ids = [layer.id for layer in self.layers]
        for rule in self.rules:
            for layer in self._expand(rule, self.name):
                yield ids.index(layer), self.sources.index(rule.source), rule.scale

    def check_within(self, trained: Routing) -> None:
        """Raise `UserError` when this routing switches on a cell that `trained` had not on."""
        if [layer.id for layer in self.layers] != [layer.id for layer in trained.layers]:
            raise UserError(
                "made for another architecture", f"routing '{self.name}'", "Use the model's layers."
            )
        mine, theirs = self.states(), trained.states()
        for row, layer in enumerate(self.layers):
            for column, source in enumerate(self.sources):
                if mine[row][column] == "on" and theirs[row][column] != "on":
                    raise UserError(
                        f"switches on '{source}' at {layer.id}, which was not trained",
                        f"routing '{self.name}'",
                        "Use only cells that are on in the model's routing.",
                    )

    def to_dict(self) -> dict[str, Any]:
        """JSON form; its checksum ties the file to the layers it was made for."""
        layers = [[layer.id, layer.stage, layer.resolution] for layer in self.layers]
        rules = [
            {"source": rule.source, "layers": list(rule.layers), "scale": rule.scale}
            for rule in self.rules
        ]
        return {
            "schema": SCHEMA,
            "name": self.name,
            "sources": list(self.sources),
            "layers": layers,
            "rules": rules,
            "checksum": hash_of(layers)[:16],
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any], where: str = "routing") -> Routing:
        """Inverse of `to_dict`; raises `UserError` on another schema or a damaged table."""
        if not isinstance(value, Mapping) or value.get("schema") != SCHEMA:
            raise UserError("not a routing table", where, f"Its schema must be '{SCHEMA}'.")
        try:
            layers = tuple(Layer(str(i), str(s), int(r)) for i, s, r in value["layers"])
            checksum, name = value["checksum"], str(value["name"])
            sources, rules = tuple(value["sources"]), list(value["rules"])
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"damaged routing table ({error!r})", where, "Write it anew.") from None
        if (
            checksum
            != hash_of([[layer.id, layer.stage, layer.resolution] for layer in layers])[:16]
        ):
            raise UserError("its layers do not match its checksum", where, "Write it anew.")
        return cls(name, layers, parse_rules(rules, where), sources)

    def render(self) -> str:
        """Text grid, layers x sources, in order of execution."""
        width = max(len(layer.id) for layer in self.layers)
        lines = [
            f"routing '{self.name}'",
            f"{'layer':<{width}}  stage  res  " + "  ".join(f"{s:>10}" for s in self.sources),
        ]
        gates, states = self.gates(), self.states()
        for row, layer in enumerate(self.layers):
            cells = [
                f"{gates[row, column]:>10.2f}" if state == "on" else f"{state:>10}"
                for column, state in enumerate(states[row])
            ]
            lines.append(
                f"{layer.id:<{width}}  {layer.stage:<5}  {layer.resolution:>3}  " + "  ".join(cells)
            )
        return "\n".join(lines)


def parse_rules(rules: Sequence[Mapping[str, Any]], where: str) -> tuple[Rule, ...]:
    """Rules from plain mappings `{source, layers, scale}`."""
    parsed = []
    for number, rule in enumerate(rules):
        place = f"{where}, rule {number}"
        if not isinstance(rule, Mapping):
            raise UserError("damaged rule", place, "A rule is {source, layers, scale}.")
        for key in rule:
            if key not in ("source", "layers", "scale"):
                fix = nearest(str(key), ("source", "layers", "scale"))
                raise UserError(f"unknown key '{key}'", place, fix)
        try:
            layers = rule["layers"]
            names = (layers,) if isinstance(layers, str) else tuple(map(str, layers))
            parsed.append(Rule(str(rule["source"]), names, float(rule.get("scale", 1.0))))
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"damaged rule ({error!r})", place, "A rule is {source, layers, scale}."
            ) from None
    return tuple(parsed)


def groups(layers: Sequence[Layer]) -> dict[str, tuple[str, ...]]:
    """Layer ids by group: `all`, `coarse`, `fine`.

    Coarse = the mid layers and those of the deepest level that has attention, except the last of
    that level on the way up (DEADiff: layers 4-8 of Stable Diffusion 1.5's 16); fine = the rest.
    """
    outside_mid = [layer.resolution for layer in layers if layer.stage != "mid"]
    deepest = min(outside_mid) if outside_mid else 0
    level = [layer for layer in layers if layer.stage != "mid" and layer.resolution == deepest]
    kept = [layer for layer in level if layer.stage == "down"]
    kept += [layer for layer in level if layer.stage == "up"][:-1]
    coarse = {layer.id for layer in kept} | {layer.id for layer in layers if layer.stage == "mid"}
    return {
        "all": tuple(layer.id for layer in layers),
        "coarse": tuple(layer.id for layer in layers if layer.id in coarse),
        "fine": tuple(layer.id for layer in layers if layer.id not in coarse),
    }


def preset(name: str, layers: Sequence[Layer]) -> Routing:
    """A named routing over these layers; an unknown name is a `UserError` with the nearest."""
    if name not in PRESETS:
        raise UserError(f"unknown routing preset '{name}'", "routing", nearest(name, PRESETS))
    named = groups(layers)
    rules = tuple(Rule(source, named[group]) for source, group in PRESETS[name].items())
    return Routing(name, tuple(layers), rules)
