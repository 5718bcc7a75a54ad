"""Rules from plain mappings, and what each field refuses."""

from __future__ import annotations

from typing import Any

import pytest

from facecond.errors import UserError
from facecond.models.routing import Layer, Rule, Window, parse_rules

LAYERS = (Layer("a", "down", 16), Layer("b", "mid", 8), Layer("c", "up", 16))


def parse(**rule: Any) -> Rule:
    return parse_rules([{"source": "mask", "layers": "*"} | rule], LAYERS, "here")[0]


def test_selectors_become_ids_and_are_remembered() -> None:
    assert parse() == Rule("mask", ("a", "b", "c"), selector="*")
    assert parse(layers=["c", "stage:mid"]) == Rule("mask", ("c", "b"), selector="stage:mid")
    assert parse(layers="b", scale=2) == Rule("mask", ("b",), 2.0)
    assert parse(scale=[1, 0, 2]).scales == (1.0, 0.0, 2.0)
    assert parse(scale=0.5).scales == (0.5, 0.5, 0.5)


def test_tau_becomes_log_snr_of_the_schedule() -> None:
    rules = [{"source": "mask", "layers": "*", "tau": [0.25, 0.5], "schedule": "linear_early"}]
    parsed = parse_rules(rules, LAYERS, "here", log_snr_of=lambda tau: -10 * tau)[0]
    assert parsed.window == Window(-5.0, -2.5, "linear_early")
    assert parse(log_snr=[-5, None]).window == Window(-5.0, None)
    assert parse(tau=[0, 1]).window == Window()


@pytest.mark.parametrize(
    "rule",
    [
        Rule("mask", ("a", "b")),
        Rule("mask", ("a",), (0.5,), "learned", Window(None, 2.0, "linear_late"), "mul", "x"),
    ],
)
def test_rules_survive_json(rule: Rule) -> None:
    assert parse_rules([rule.to_dict()], LAYERS, "here") == (rule,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sclae": 1}, "unknown key 'sclae'.*'scale'"),
        ({"layers": 3}, "damaged rule"),
        ({"scale": "much"}, "damaged rule"),
        ({"scale": None}, "damaged rule"),
        ({"tau": 0.5}, "damaged rule"),
        ({"tau": [0.5]}, "damaged rule"),
        ({"tau": [0.5, 0.5]}, "is no window"),
        ({"tau": [-0.1, 0.5]}, "is no window"),
        ({"tau": [0.5, 1.1]}, "is no window"),
        ({"tau": [0, 1], "log_snr": [0, 1]}, "both tau and log_snr"),
        ({"log_snr": [float("inf"), None]}, "not finite"),
        ({"layers": "stage:up2"}, "unknown stage"),
    ],
)
def test_rules_that_cannot_be_read_are_named(change: dict[str, Any], message: str) -> None:
    good = {"source": "attributes", "layers": "*"}
    with pytest.raises(UserError, match=message) as caught:
        parse_rules([good, {"source": "mask", "layers": "*"} | change], LAYERS, "file.yaml")
    assert str(caught.value).startswith("file.yaml, rule 1")


@pytest.mark.parametrize("rules", ["text", {"source": "mask"}, 3])
def test_rules_are_a_list(rules: Any) -> None:
    with pytest.raises(UserError, match="damaged rules"):
        parse_rules(rules, LAYERS, "file.yaml")


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (Rule("masks", ("a",)), "unknown source 'masks'.*'mask'"),
        (Rule("mask", ()), "names no layer"),
        (Rule("mask", ("d",)), "there is no layer 'd'"),
        (Rule("mask", ("a", "a")), "names a twice"),
        (Rule("mask", ("a", "b"), (1.0,)), "1 scales for 2 layers"),
        (Rule("mask", ("a",), float("nan")), "not finite"),
        (Rule("mask", ("a",), gate="lernt"), "unknown gate 'lernt'"),
        (Rule("mask", ("a",), op="add"), "unknown op 'add'"),
        (Rule("mask", ("a",), window=Window(1.0, 0.0)), "empty"),
    ],
)
def test_rules_without_a_meaning_are_refused(rule: Rule, message: str) -> None:
    with pytest.raises(UserError, match=message):
        rule.check(("attributes", "mask"), ["a", "b", "c"], "here")
