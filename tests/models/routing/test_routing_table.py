"""Routing: gates over noise levels, states, what may be switched on, the saved table."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from facecond.errors import UserError
from facecond.models.routing import Layer, Routing, Rule, Window, flow_log_snr, preset

SMALL = (Layer("a", "down", 16), Layer("b", "mid", 8), Layer("c", "up", 16))
ALL = ("a", "b", "c")


def custom(*rules: Rule, **options: Any) -> Routing:
    return Routing("custom", SMALL, rules, **options)


def test_states_and_gates_of_a_custom_table() -> None:
    table = custom(
        Rule("mask", ALL, 0.5),
        Rule("attributes", ("a",), 0.0),
        Rule("attributes", ("c",), -2.0),
    )
    assert table.states() == [["off", "on"], ["absent", "on"], ["on", "on"]]
    assert table.gates().tolist() == [[0.0, 0.5], [0.0, 0.5], [-2.0, 0.5]]
    assert table.gates().dtype == np.float32


EVERYWHERE = Rule("mask", ALL)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ([Rule("masks", ("a",))], "unknown source 'masks'.*Did you mean 'mask'"),
        ([Rule("mask", ("layer",))], "there is no layer 'layer'"),
        ([Rule("mask", ())], "names no layer"),
        ([Rule("mask", ("a",), float("nan"))], "not finite"),
        ([Rule("mask", ("a",), float("inf"))], "not finite"),
        ([EVERYWHERE, Rule("mask", ("b",), 0.5)], "rule 0 names b too.*op: mul"),
        ([Rule("mask", ("a", "a"))], "names a twice"),
        ([EVERYWHERE], "source 'attributes' reaches no layer"),
    ],
)
def test_bad_rules_are_refused(rules: list[Rule], message: str) -> None:
    with pytest.raises(UserError, match=message):
        custom(*rules)


def test_table_survives_json() -> None:
    table = custom(Rule("mask", ALL, 0.25), Rule("attributes", ("c", "a"), 0.0))
    copied = Routing.from_dict(json.loads(json.dumps(table.to_dict())))
    assert copied == table
    assert copied.to_dict() == table.to_dict()


def damaged(change: Callable[[dict[str, Any]], Any]) -> Any:
    value = json.loads(json.dumps(preset("all_all", SMALL).to_dict()))
    replaced = change(value)
    return value if replaced is None else replaced


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: [], "not a routing table"),
        (lambda v: v.update(schema="facecond.routing/9"), "not a routing table"),
        (lambda v: v.pop("layers") and None, "damaged"),
        (lambda v: v.pop("rules") and None, "damaged"),
        (lambda v: v.pop("checksum") and None, "damaged"),
        (lambda v: v.pop("sources") and None, "damaged"),
        (lambda v: v.update(rules=3), "damaged"),
        (lambda v: v.update(rules=[3]), "damaged"),
        (lambda v: v["layers"][0].pop() and None, "damaged"),
        (lambda v: v["layers"][1].__setitem__(2, 4), "checksum"),
        (lambda v: v["layers"].reverse(), "checksum"),
        (lambda v: v["rules"][0].update(scale="much"), "damaged rule"),
        (lambda v: v["rules"][0].pop("layers") and None, "damaged rule"),
        (lambda v: v["rules"][0].update(sclae=1), "unknown key 'sclae'.*Did you mean 'scale'"),
    ],
)
def test_damaged_tables_are_refused(change: Callable[..., Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Routing.from_dict(damaged(change), "file.json")


def test_only_trained_cells_may_be_switched_on() -> None:
    trained = custom(Rule("mask", ALL), Rule("attributes", ("a",)), Rule("attributes", ("b",), 0.0))
    weaker = custom(Rule("mask", ("b",), 0.3), Rule("attributes", ("a", "c"), 0.0))
    weaker.check_within(trained)
    for layer in ("b", "c"):  # off, then absent, in training
        with pytest.raises(UserError, match=f"switches on 'attributes' at {layer}"):
            custom(EVERYWHERE, Rule("attributes", (layer,))).check_within(trained)
    with pytest.raises(UserError, match="another architecture"):
        preset("all_all", SMALL[:2]).check_within(trained)


def test_render_shows_every_cell() -> None:
    table = custom(
        Rule("mask", ALL, 0.5), Rule("attributes", ("a",), 0.0), Rule("attributes", ("c",))
    )
    title, header, *rows = table.render().splitlines()
    assert "custom" in title
    assert header.split() == ["layer", "stage", "res", "attributes", "mask"]
    assert [row.split() for row in rows] == [
        ["a", "down", "16", "off", "0.50"],
        ["b", "mid", "8", "absent", "0.50"],
        ["c", "up", "16", "1.00", "0.50"],
    ]


EARLY = Window.of_tau((0.5, 1), flow_log_snr)
LATE = Window.of_tau((0, 0.5), flow_log_snr)
TAUS = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
LEVELS = np.array([flow_log_snr(tau) for tau in TAUS])


def test_gates_over_noise_levels() -> None:
    table = custom(
        Rule("mask", ALL, (1.0, 2.0, 0.0), window=EARLY),
        Rule("attributes", ("b",), 0.5, window=Window(None, None, "linear_late")),
        Rule("attributes", ("a", "c")),
    )
    gates = table.gates(LEVELS)
    assert gates.shape == (5, 3, 2) and gates.dtype == np.float32
    on = np.array([0, 0, 1, 1, 1])
    assert np.array_equal(gates[:, :, 1], on[:, None] * [1.0, 2.0, 0.0])
    assert np.allclose(gates[:, 1, 0], 0.5 * (1 - TAUS), atol=1e-6)
    assert (gates[:, [0, 2], 0] == 1).all()
    assert table.states() == [["on", "on"], ["on", "on"], ["on", "off"]]
    assert not table.is_constant
    with pytest.raises(ValueError, match="depend on the noise level"):
        table.gates()


def test_windows_that_meet_share_a_cell_without_touching() -> None:
    table = custom(
        Rule("mask", ("a",), 2.0, window=EARLY),
        Rule("mask", ("a",), 3.0, window=LATE),
        Rule("attributes", ALL),
    )
    assert table.gates(LEVELS)[:, 0, 1].tolist() == [3, 3, 2, 2, 2]
    with pytest.raises(UserError, match="rule 0 names a too"):
        wider = Window.of_tau((0, 0.51), flow_log_snr)
        custom(Rule("mask", ("a",), window=EARLY), Rule("mask", ("a",), window=wider))


def test_rules_that_multiply() -> None:
    table = custom(
        Rule("mask", ALL, 0.5, op="mul"),
        Rule("mask", ("a",), 4.0, window=EARLY, op="mul"),
        Rule("attributes", ALL),
    )
    assert table.gates(LEVELS)[:, 0, 1].tolist() == [0, 0, 2, 2, 2]
    assert (table.gates(LEVELS)[:, 1:, 1] == 0.5).all()
    with pytest.raises(UserError, match="op: mul"):
        custom(Rule("mask", ALL, op="mul"), Rule("mask", ("a",)), Rule("attributes", ALL))


def test_learned_gates_are_named_by_layer() -> None:
    table = custom(Rule("mask", ("a", "c"), gate="learned"), Rule("attributes", ALL))
    assert table.learned() == [{"mask"}, set(), {"mask"}]
    assert "1.00*" in table.render()


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        (("attributes", "masks"), "unknown source 'masks'.*'mask'"),
        (("mask", "mask"), "named twice"),
        (("attributes", "attributes:geometry"), "'attributes' and its part"),
    ],
)
def test_bad_sources_are_refused(sources: tuple[str, ...], message: str) -> None:
    rules = [Rule(source, ALL) for source in dict.fromkeys(sources)]
    with pytest.raises(UserError, match=message):
        custom(*rules, sources=sources)


def test_no_source_at_all_is_a_routing() -> None:
    table = custom(sources=())
    assert table.gates().shape == (3, 0) and table.states() == [[], [], []]


@pytest.mark.parametrize("combine", ["joint", "concat"])
def test_a_shared_softmax_has_no_negative_weights(combine: str) -> None:
    rules = (Rule("mask", ALL, -0.5), Rule("attributes", ALL))
    custom(*rules)
    with pytest.raises(UserError, match=r"rule 0 .*negative scale"):
        custom(*rules, combine=combine)


def test_noise_levels_that_were_not_trained_cannot_be_switched_on() -> None:
    both = Rule("attributes", ALL)
    trained = custom(Rule("mask", ALL, window=EARLY), both)
    narrower = Window.of_tau((0.6, 0.9), flow_log_snr, "cosine_early")
    custom(Rule("mask", ("a",), 0.3, window=narrower), both).check_within(trained)
    for window in (Window(), LATE, Window.of_tau((0.499, 1), flow_log_snr)):
        with pytest.raises(UserError, match=r"rule 0: switches on 'mask' at a at tau 0"):
            custom(Rule("mask", ("a",), window=window), both).check_within(trained)


def test_routings_that_the_model_cannot_follow() -> None:
    trained = custom(Rule("mask", ALL), Rule("attributes", ALL))
    with pytest.raises(UserError, match=r"combines by joint.*trained with sum"):
        custom(Rule("mask", ALL), Rule("attributes", ALL), combine="joint").check_within(trained)
    parts = custom(Rule("attributes:geometry", ALL), sources=("attributes:geometry",))
    with pytest.raises(UserError, match="no source 'attributes:geometry'"):
        parts.check_within(trained)
    custom(Rule("mask", ALL), sources=("mask",)).check_within(trained)  # fewer sources are fine


def test_windows_survive_json_and_are_shown_as_tau() -> None:
    table = custom(
        Rule("mask", ALL, (1.0, 0.5, 0.0), "learned", EARLY, selector="stage:*"),
        Rule("attributes", ALL, 0.5, window=Window(-2.0, None, "cosine_late"), op="mul"),
        Rule("attributes", ("b",), 3.0, op="mul"),
        combine="joint",
    )
    copied = Routing.from_dict(json.loads(json.dumps(table.to_dict())))
    assert copied == table
    shown = table.render()
    assert "tau [0.5, 1]" in shown and ", joint" in shown
    assert "cosine_late x 3.00" in shown and "off" in shown


def test_a_table_of_before_windows_is_read() -> None:
    value = preset("all_all", SMALL).to_dict()
    del value["combine"]
    value["rules"] = [{"source": s, "layers": ["*"], "scale": 1.0} for s in ("attributes", "mask")]
    assert (Routing.from_dict(value).gates() == 1).all()
