"""Rules: a source, the layers it reaches, how strongly and at which noise levels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from facecond.errors import UserError, nearest
from facecond.models.routing.layers import Layer
from facecond.models.routing.selectors import select
from facecond.models.routing.windows import LogSnr, Window, flow_log_snr

KEYS = ("source", "layers", "scale", "gate", "tau", "log_snr", "schedule", "op", "selector")
GATES = ("fixed", "learned")
OPS = ("set", "mul")

ALWAYS = Window()


@dataclass(frozen=True)
class Rule:
    """`source` reaches `layers`.

    Attributes:
        source: one of the routing's sources.
        layers: exact ids.
        scale: weight of the source's attention output; one number, or one per layer.
        gate: `fixed`, or `learned`: the scale is multiplied by 2 sigmoid(gamma), gamma = 0 at
            first, one per layer and source.
        window: the noise levels at which the rule holds; outside of them its gate is 0.
        op: `set`: no other rule may name the same cell; `mul`: the gates of all rules of the cell
            are multiplied, and all of them say `mul`.
        selector: what the layers were chosen by, for people; it has no effect.
    """

    source: str
    layers: tuple[str, ...]
    scale: float | tuple[float, ...] = 1.0
    gate: str = "fixed"
    window: Window = ALWAYS
    op: str = "set"
    selector: str = ""

    @property
    def scales(self) -> tuple[float, ...]:
        """One scale per layer."""
        if isinstance(self.scale, tuple):
            return self.scale
        return (self.scale,) * len(self.layers)

    def check(self, sources: Sequence[str], layer_ids: Sequence[str], where: str) -> None:
        """Raise `UserError` for a rule that has no meaning by itself."""
        if self.source not in sources:
            raise UserError(f"unknown source '{self.source}'", where, nearest(self.source, sources))
        if not self.layers:
            raise UserError("the rule names no layer", where, "Name layers, or '*'.")
        for name in self.layers:
            if name not in layer_ids:
                raise UserError(f"there is no layer '{name}'", where, nearest(name, layer_ids))
        if len(set(self.layers)) < len(self.layers):
            twice = next(name for name in self.layers if self.layers.count(name) > 1)
            raise UserError(f"it names {twice} twice", where, "Name it once.")
        if len(self.scales) != len(self.layers):
            raise UserError(
                f"{len(self.scales)} scales for {len(self.layers)} layers",
                where,
                "Give one number, or one per layer.",
            )
        if not all(map(math.isfinite, self.scales)):
            raise UserError(f"scale {self.scale} is not finite", where, "Use a number.")
        for name, value, known in (("gate", self.gate, GATES), ("op", self.op, OPS)):
            if value not in known:
                raise UserError(f"unknown {name} '{value}'", where, nearest(value, known))
        self.window.check(where)

    def to_dict(self) -> dict[str, Any]:
        """JSON form; what is at its default is left out."""
        value: dict[str, Any] = {"source": self.source, "layers": list(self.layers)}
        value["scale"] = list(self.scale) if isinstance(self.scale, tuple) else self.scale
        if self.gate != "fixed":
            value["gate"] = self.gate
        if self.window.low is not None or self.window.high is not None:
            value["log_snr"] = [self.window.low, self.window.high]
        if self.window.schedule != "const":
            value["schedule"] = self.window.schedule
        if self.op != "set":
            value["op"] = self.op
        if self.selector:
            value["selector"] = self.selector
        return value


def parse_rules(
    rules: Sequence[Mapping[str, Any]],
    layers: Sequence[Layer],
    where: str,
    log_snr_of: LogSnr = flow_log_snr,
) -> tuple[Rule, ...]:
    """Rules from plain mappings; selectors become exact ids, tau becomes logSNR.

    Args:
        rules: mappings with the keys of `Rule`; `layers` is a selector or a list of selectors, and
            the window is written `tau: [lo, hi]` or `log_snr: [low, high]` (null = no bound).
        layers: of the denoiser.
        where: begins the message of an error.
        log_snr_of: tau -> logSNR of the noise schedule that tau is meant in.

    Raises:
        UserError: a rule that cannot be read; the message names it by number.
    """
    if isinstance(rules, str | Mapping) or not isinstance(rules, Sequence):
        raise UserError("damaged rules", where, "Write a list of {source, layers, scale}.")
    parsed = []
    for number, rule in enumerate(rules):
        place = f"{where}, rule {number}"
        if not isinstance(rule, Mapping):
            raise UserError("damaged rule", place, "A rule is {source, layers, scale}.")
        for key in rule:
            if key not in KEYS:
                raise UserError(f"unknown key '{key}'", place, nearest(str(key), KEYS))
        try:
            wanted, scale = rule["layers"], rule.get("scale", 1.0)
            names = [wanted] if isinstance(wanted, str) else list(map(str, wanted))
            scales = tuple(map(float, scale)) if _is_list(scale) else float(scale)
            window = _window(rule, place, log_snr_of)
            source = str(rule["source"])
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"damaged rule ({error!r})", place, "A rule is {source, layers, scale}."
            ) from None
        place = f"{place} ({source})"
        ids = tuple(name for text in names for name in select(text, layers, place))
        known = {layer.id for layer in layers}
        texts = [text for text in names if text not in known]
        gate, op = str(rule.get("gate", "fixed")), str(rule.get("op", "set"))
        selector = str(rule.get("selector", "")) or ", ".join(texts)
        parsed.append(Rule(source, ids, scales, gate, window, op, selector))
    return tuple(parsed)


def _window(rule: Mapping[str, Any], where: str, log_snr_of: LogSnr) -> Window:
    schedule = str(rule.get("schedule", "const"))
    if "tau" in rule and "log_snr" in rule:
        raise UserError("it has both tau and log_snr", where, "Keep one of them.")
    if "tau" in rule:
        lo, hi = map(float, rule["tau"])
        if not 0 <= lo < hi <= 1:
            raise UserError(
                f"tau [{lo:g}, {hi:g}) is no window", where, "Use 0 <= lo < hi <= 1 (1 = noise)."
            )
        return Window.of_tau((lo, hi), log_snr_of, schedule)
    low, high = (None if v is None else float(v) for v in rule.get("log_snr", (None, None)))
    if any(v is not None and not math.isfinite(v) for v in (low, high)):
        raise UserError("log_snr is not finite", where, "Write null for no bound.")
    return Window(low, high, schedule)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)
