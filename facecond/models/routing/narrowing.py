"""A routing whose sources hold at fewer noise levels: windows chosen when sampling."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from facecond.errors import UserError, nearest
from facecond.models.routing.rules import Rule
from facecond.models.routing.table import Routing
from facecond.models.routing.windows import LogSnr, Window


def narrowed(routing: Routing, taus: Mapping[str, Sequence[float]], log_snr_of: LogSnr) -> Routing:
    """The routing with each source's gates multiplied by a window, 1 inside and 0 outside.

    Args:
        taus: source, or the whole of several (`attributes`) -> (lo, hi) in tau, half-open and
            closed at 1.
        log_snr_of: tau -> logSNR of the noise schedule.

    Raises:
        UserError: a source that the routing has not, no window, or one in which it is never on.
    """
    for name, tau in taus.items():
        whole = sorted({source.split(":")[0] for source in routing.sources})
        chosen = [s for s in routing.sources if name in (s, s.split(":")[0])]
        if not chosen:
            fix = nearest(name, sorted({*routing.sources, *whole}))
            raise UserError(f"unknown source '{name}'", "window", fix)
        lo, hi = tau
        if not 0 <= lo < hi <= 1:
            fix = "Use 0 <= lo < hi <= 1 (1 = noise)."
            raise UserError(f"{lo:g}:{hi:g} is no window of '{name}'", "window", fix)
        window = Window.of_tau((lo, hi), log_snr_of)
        if window.is_open:
            continue
        rules = tuple(r for rule in routing.rules for r in _within(rule, window, chosen))
        title = f"{routing.name}, {name} {lo:g}:{hi:g}"
        named = {rule.source for rule in rules}
        if set(chosen) <= named:
            routing = replace(routing, name=title, rules=rules)
        for source in chosen:
            column = routing.sources.index(source)
            if source not in named or all(row[column] != "on" for row in routing.states()):
                what = f"'{source}' is off at all noise levels of {lo:g}:{hi:g}"
                raise UserError(what, "window", "Leave the window out, or use guidance 0.")
    return routing


def _within(rule: Rule, window: Window, sources: Sequence[str]) -> list[Rule]:
    """The rules in place of one: none where its window and the new one do not meet."""
    if rule.source not in sources:
        return [rule]
    if rule.op == "set" and rule.window.schedule == "const":
        low = max(_or(rule.window.low, -math.inf), _or(window.low, -math.inf))
        high = min(_or(rule.window.high, math.inf), _or(window.high, math.inf))
        bounds = None if low == -math.inf else low, None if high == math.inf else high
        return [replace(rule, window=Window(*bounds))] if low < high else []
    # A fade runs over its own window, which must stay as it is: the product takes one rule more.
    return [replace(rule, op="mul"), Rule(rule.source, rule.layers, window=window, op="mul")]


def _or(bound: float | None, default: float) -> float:
    return default if bound is None else bound
