"""The routing of one denoiser: validated rules that compile to gates.

The gates G[noise level, layer, source] weight each source's attention output. A cell (layer,
source) is

- *absent*: no rule; the layer has no parameters for the source;
- *off*: a rule with scale 0; parameters exist, the source is exactly absent from the output;
- *on*: a rule with another scale.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Any, Literal

import numpy as np

from facecond.errors import UserError, nearest
from facecond.models.routing.layers import Layer, checksum
from facecond.models.routing.rules import Rule, parse_rules
from facecond.models.routing.windows import flow_log_snr, flow_tau

SCHEMA = "facecond.routing/1"
SOURCES: tuple[str, ...] = ("attributes", "mask")
PARTS: tuple[str, ...] = ("attributes:geometry", "attributes:appearance")
"""Parts of a source, each routable by itself; `attribute_split.py` says what belongs to which."""
REFERENCES: tuple[str, ...] = (
    "reference", "reference:appearance", "reference:geometry", "reference:identity",
)  # fmt: skip
"""What may be taken from a reference face; `reference` is a face's tokens without instruction."""
KNOWN: tuple[str, ...] = (*SOURCES, *PARTS, *REFERENCES)
"""Every source that a routing may name, in the order of its columns where it does not say."""
COMBINES = ("sum", "joint", "concat")
"""How a layer's sources meet: a gated sum of separate attentions; one softmax over all tokens with
keys and values per source; the same with shared keys and values (plain token concatenation)."""
State = Literal["absent", "off", "on"]
LEVELS = 512
"""Noise levels at which two routings are compared."""


@dataclass(frozen=True)
class Routing:
    """Rules over the layers of one denoiser, in order of execution; validated when made."""

    name: str
    layers: tuple[Layer, ...]
    rules: tuple[Rule, ...]
    sources: tuple[str, ...] = SOURCES
    combine: str = "sum"

    def __post_init__(self) -> None:
        here = f"routing '{self.name}'"
        check_sources(self.sources, here)
        if self.combine not in COMBINES:
            fix = nearest(self.combine, COMBINES)
            raise UserError(f"unknown way to combine '{self.combine}'", here, fix)
        ids = [layer.id for layer in self.layers]
        by_cell: dict[tuple[str, str], list[int]] = {}
        for number, rule in enumerate(self.rules):
            where = f"{here}, rule {number} ({rule.source})"
            rule.check(self.sources, ids, where)
            if self.combine != "sum" and min(rule.scales) < 0:
                raise UserError(
                    f"a negative scale has no meaning where sources share a softmax "
                    f"({self.combine})",
                    where,
                    "Use 0 or more, or combine: sum.",
                )
            for layer in rule.layers:
                by_cell.setdefault((layer, rule.source), []).append(number)
        for (layer, _), numbers in by_cell.items():
            for first, second in combinations(numbers, 2):
                a, b = self.rules[first], self.rules[second]
                if a.op == b.op == "mul":
                    continue
                if "mul" in (a.op, b.op) or a.window.overlaps(b.window):
                    raise UserError(
                        f"rule {first} names {layer} too",
                        f"{here}, rule {second} ({b.source})",
                        "Name it once, or write `op: mul` in both to multiply their gates.",
                    )
        for source in self.sources:
            if not any((layer, source) in by_cell for layer in ids):
                raise UserError(f"source '{source}' reaches no layer", here, "Add a rule.")

    @cached_property
    def is_constant(self) -> bool:
        """Whether the gates are the same at every noise level."""
        return all(rule.window.is_open for rule in self.rules)

    def gates(self, log_snr: np.ndarray | None = None) -> np.ndarray:
        """Weight of each source at each layer, float32; 0 where off or absent.

        Args:
            log_snr: noise levels [T]; may be left out where the gates are constant.

        Returns:
            [T, L, S], or [L, S] without noise levels.

        Raises:
            ValueError: no noise levels are given and the gates depend on them.
        """
        if log_snr is None:
            if not self.is_constant:
                raise ValueError(f"the gates of '{self.name}' depend on the noise level")
            return self.gates(np.zeros(1))[0]
        log_snr = np.asarray(log_snr, np.float64)
        added = np.zeros((len(log_snr), len(self.layers), len(self.sources)))
        factor, multiplied = np.ones_like(added), np.zeros(added.shape[1:], bool)
        for rule, (rows, column) in zip(self.rules, self._cells, strict=True):
            gate = rule.window.at(log_snr)[:, None] * np.array(rule.scales)  # [T, cells]
            if rule.op == "mul":
                factor[:, rows, column] *= gate
                multiplied[rows, column] = True
            else:
                added[:, rows, column] += gate
        return np.where(multiplied, factor, added).astype(np.float32)

    @cached_property
    def _cells(self) -> list[tuple[list[int], int]]:
        """Rows and column of each rule."""
        rows = {layer.id: row for row, layer in enumerate(self.layers)}
        return [
            ([rows[name] for name in rule.layers], self.sources.index(rule.source))
            for rule in self.rules
        ]

    def states(self) -> list[list[State]]:
        """[L][S] state of each cell."""
        found: list[list[State]] = [["absent"] * len(self.sources) for _ in self.layers]
        peak = np.abs(self.gates(levels(self))).max(0)
        for rows, column in self._cells:
            for row in rows:
                found[row][column] = "on" if peak[row, column] else "off"
        return found

    def learned(self) -> list[set[str]]:
        """[L] sources whose gate is learned."""
        found: list[set[str]] = [set() for _ in self.layers]
        for rule, (rows, _) in zip(self.rules, self._cells, strict=True):
            for row in rows if rule.gate == "learned" else ():
                found[row].add(rule.source)
        return found

    def without_references(self) -> Routing:
        """The same table without the sources of a reference."""
        kept = tuple(source for source in self.sources if source not in REFERENCES)
        rules = tuple(rule for rule in self.rules if rule.source in kept)
        return self if kept == self.sources else replace(self, rules=rules, sources=kept)

    def check_within(self, trained: Routing) -> None:
        """Raise `UserError` when this routing switches on what `trained` had not on."""
        here = f"routing '{self.name}'"
        if [layer.id for layer in self.layers] != [layer.id for layer in trained.layers]:
            raise UserError("made for another architecture", here, "Use the model's layers.")
        if self.combine != trained.combine:
            raise UserError(
                f"it combines by {self.combine}, the model was trained with {trained.combine}",
                here,
                f"Write combine: {trained.combine}.",
            )
        missing = [source for source in self.sources if source not in trained.sources]
        if missing:
            raise UserError(
                f"the model has no source '{missing[0]}'",
                here,
                nearest(missing[0], trained.sources),
            )
        at = np.unique(np.concatenate([levels(self), levels(trained)]))
        columns = [trained.sources.index(source) for source in self.sources]
        mine, theirs = self.gates(at) != 0, trained.gates(at)[:, :, columns] != 0
        extra = mine & ~theirs
        if extra.any():
            level, row, column = np.argwhere(extra)[0]
            never = not theirs[:, row, column].any()
            which = "" if never else f" at tau {float(flow_tau(at[level])):.2g} (flow)"
            raise UserError(
                f"switches on '{self.sources[column]}' at {self.layers[row].id}{which}, "
                "which was not trained",
                f"{here}, rule {self._rule_of(int(row), int(column))}",
                "Use only cells that are on in the model's routing.",
            )

    def _rule_of(self, row: int, column: int) -> int:
        return next(n for n, (rows, c) in enumerate(self._cells) if row in rows and c == column)

    def to_dict(self) -> dict[str, Any]:
        """JSON form; its checksum ties the file to the layers it was made for."""
        return {
            "schema": SCHEMA,
            "name": self.name,
            "combine": self.combine,
            "sources": list(self.sources),
            "layers": [[layer.id, layer.stage, layer.resolution] for layer in self.layers],
            "rules": [rule.to_dict() for rule in self.rules],
            "checksum": checksum(self.layers),
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any], where: str = "routing") -> Routing:
        """Inverse of `to_dict`; raises `UserError` on another schema or a damaged table."""
        if not isinstance(value, Mapping) or value.get("schema") != SCHEMA:
            raise UserError("not a routing table", where, f"Its schema must be '{SCHEMA}'.")
        try:
            layers = tuple(Layer(str(i), str(s), int(r)) for i, s, r in value["layers"])
            stated, name = value["checksum"], str(value["name"])
            sources, rules = tuple(value["sources"]), list(value["rules"])
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"damaged routing table ({error!r})", where, "Write it anew.") from None
        if stated != checksum(layers):
            raise UserError("its layers do not match its checksum", where, "Write it anew.")
        combine = str(value.get("combine", "sum"))
        return cls(name, layers, parse_rules(rules, layers, where), sources, combine)

    def render(self, tau_of: Callable[[float], float] = lambda s: float(flow_tau(s))) -> str:
        """Text grid, layers x sources, in order of execution.

        Args:
            tau_of: logSNR -> tau of the noise schedule that windows are shown in.
        """
        width = max((len(layer.id) for layer in self.layers), default=5)
        cells = [
            [self.cell(row, s, tau_of) for s in self.sources] for row in range(len(self.layers))
        ]
        widths = [
            max([10, len(source), *(len(row[column]) for row in cells)])
            for column, source in enumerate(self.sources)
        ]

        def line(head: str, texts: list[str]) -> str:
            padded = (f"{text:>{w}}" for text, w in zip(texts, widths, strict=True))
            return "  ".join([head, *padded])

        lines = [
            f"routing '{self.name}'" + ("" if self.combine == "sum" else f", {self.combine}"),
            line(f"{'layer':<{width}}  stage  res", list(self.sources)),
        ]
        for layer, texts in zip(self.layers, cells, strict=True):
            head = f"{layer.id:<{width}}  {layer.stage:<5}  {layer.resolution:>3}"
            lines.append(line(head, texts))
        return "\n".join(lines)

    def cell(
        self,
        row: int,
        source: str,
        tau_of: Callable[[float], float] = lambda s: float(flow_tau(s)),
    ) -> str:
        """One cell in words: absent, off, or its weights with their windows."""
        column, texts = self.sources.index(source), []
        state = self.states()[row][column]
        if state != "on":
            return state
        for rule, (rows, at) in zip(self.rules, self._cells, strict=True):
            if at == column and row in rows:
                scale = f"{rule.scales[rows.index(row)]:.2f}"
                scale += "*" if rule.gate == "learned" else ""
                texts.append(" ".join(filter(None, [scale, rule.window.describe(tau_of)])))
        return (" x " if any(r.op == "mul" for r in self.rules) else " + ").join(texts)


def levels(routing: Routing) -> np.ndarray:
    """Noise levels, in logSNR, that meet every window of a routing, its inside and its bounds."""
    share = (np.arange(LEVELS) + 0.5) / LEVELS
    at = [-1e3, 1e3, *(flow_log_snr(c) for c in share)]
    for rule in routing.rules:
        for bound in (rule.window.low, rule.window.high):
            if bound is not None:
                at += [bound, np.nextafter(bound, np.inf)]
    return np.unique(at)


def check_sources(sources: tuple[str, ...], where: str) -> None:
    """Raise `UserError` for an unknown source, one named twice, or a whole beside its part."""
    for source in sources:
        if source not in KNOWN:
            raise UserError(f"unknown source '{source}'", where, nearest(source, KNOWN))
        if sources.count(source) > 1:
            raise UserError(f"source '{source}' is named twice", where, "Name it once.")
        whole = source.split(":")[0]
        if whole != source and whole in sources:
            raise UserError(
                f"it has '{whole}' and its part '{source}'", where, "Name the whole or its parts."
            )
