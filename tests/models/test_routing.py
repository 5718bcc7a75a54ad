"""Routing: presets over the reference layout, states, validation, the saved table."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from facecond.errors import UserError
from facecond.models.routing import (
    PRESETS,
    SOURCES,
    Layer,
    Routing,
    Rule,
    groups,
    parse_rules,
    preset,
)
from facecond.models.unet import FaceUNet

# Stable Diffusion 1.5: 6 layers down, 1 mid, 9 up.
SD15 = tuple(
    [Layer(f"down.{i}", "down", side) for i, side in enumerate((64, 64, 32, 32, 16, 16))]
    + [Layer("mid.0", "mid", 8)]
    + [Layer(f"up.{i}", "up", s) for i, s in enumerate((16, 16, 16, 32, 32, 32, 64, 64, 64))]
)
IDS = [layer.id for layer in SD15]
SMALL = (Layer("a", "down", 16), Layer("b", "mid", 8), Layer("c", "up", 16))


def reached(table: Routing, source: str) -> set[str]:
    column = table.sources.index(source)
    return {
        layer.id
        for layer, gates in zip(table.layers, table.gates(), strict=True)
        if gates[column] != 0
    }


def custom(*rules: Rule) -> Routing:
    return Routing("custom", SMALL, rules)


def test_coarse_is_deadiffs_layers_4_to_8() -> None:
    named = groups(SD15)
    assert list(named["coarse"]) == IDS[4:9]
    assert list(named["fine"]) == IDS[:4] + IDS[9:]
    assert list(named["all"]) == IDS


def test_layout_of_stable_diffusion_comes_from_the_network(
    make_unet: Callable[..., FaceUNet],
) -> None:
    unet = make_unet(
        sample_size=64,
        block_out_channels=(16, 16, 16, 16),
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
        layers_per_block=2,
        attention_head_dim=2,
        routing="coarse_fine",
    )
    layers = unet.trained_routing.layers
    assert [(x.stage, x.resolution) for x in layers] == [(x.stage, x.resolution) for x in SD15]
    assert reached(unet.routing, "mask") == {layer.id for layer in layers[4:9]}


@pytest.mark.parametrize("layers", [SD15, SMALL], ids=["sd15", "small"])
def test_presets_split_the_layers_as_their_names_say(layers: tuple[Layer, ...]) -> None:
    every = {layer.id for layer in layers}
    split, swapped = preset("coarse_fine", layers), preset("fine_coarse", layers)
    assert reached(split, "mask") & reached(split, "attributes") == set()
    assert reached(split, "mask") | reached(split, "attributes") == every
    assert np.array_equal(split.gates()[:, ::-1], swapped.gates())
    assert all(reached(preset("all_all", layers), source) == every for source in SOURCES)
    mixed = preset("mask_all_attr_fine", layers)
    assert reached(mixed, "mask") == every
    assert reached(mixed, "attributes") == reached(split, "attributes")
    assert set(PRESETS) == {"all_all", "coarse_fine", "fine_coarse", "mask_all_attr_fine"}


def test_preset_cells_are_on_or_absent_with_weight_one() -> None:
    table = preset("coarse_fine", SD15)
    assert {state for row in table.states() for state in row} == {"on", "absent"}
    assert set(np.unique(table.gates())) == {0.0, 1.0}


def test_states_and_gates_of_a_custom_table() -> None:
    table = custom(
        Rule("mask", ("*",), 0.5),
        Rule("attributes", ("a",), 0.0),
        Rule("attributes", ("c",), -2.0),
    )
    assert table.states() == [["off", "on"], ["absent", "on"], ["on", "on"]]
    assert table.gates().tolist() == [[0.0, 0.5], [0.0, 0.5], [-2.0, 0.5]]
    assert table.gates().dtype == np.float32


EVERYWHERE = Rule("mask", ("*",))


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ([Rule("masks", ("a",))], "unknown source 'masks'.*Did you mean 'mask'"),
        ([Rule("mask", ("layer",))], "there is no layer 'layer'"),
        ([Rule("mask", ())], "names no layer"),
        ([Rule("mask", ("a",), float("nan"))], "not finite"),
        ([Rule("mask", ("a",), float("inf"))], "not finite"),
        ([EVERYWHERE, Rule("mask", ("b",), 0.5)], "rule 0 names b too"),
        ([Rule("mask", ("a", "a"))], "names a too"),
        ([EVERYWHERE], "source 'attributes' reaches no layer"),
    ],
)
def test_bad_rules_are_refused(rules: list[Rule], message: str) -> None:
    with pytest.raises(UserError, match=message):
        custom(*rules)


def test_unknown_layer_and_preset_offer_the_nearest_name() -> None:
    with pytest.raises(UserError, match=r"Did you mean 'down\.3'"):
        Routing("custom", SD15, (Rule("mask", ("down3",)),))
    with pytest.raises(UserError, match="Did you mean 'coarse_fine'"):
        preset("coarse-fine", SD15)


def test_table_survives_json() -> None:
    table = custom(Rule("mask", ("*",), 0.25), Rule("attributes", ("c", "a"), 0.0))
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


def test_rules_from_a_config() -> None:
    parsed = parse_rules([{"source": "mask", "layers": "*"}], "here")
    assert parsed == (Rule("mask", ("*",), 1.0),)
    parsed = parse_rules([{"source": "mask", "layers": ["a", "b"], "scale": 2}], "here")
    assert parsed == (Rule("mask", ("a", "b"), 2.0),)


def test_only_trained_cells_may_be_switched_on() -> None:
    trained = custom(
        Rule("mask", ("*",)), Rule("attributes", ("a",)), Rule("attributes", ("b",), 0.0)
    )
    weaker = custom(Rule("mask", ("b",), 0.3), Rule("attributes", ("a", "c"), 0.0))
    weaker.check_within(trained)
    for layer in ("b", "c"):  # off, then absent, in training
        with pytest.raises(UserError, match=f"switches on 'attributes' at {layer}"):
            custom(EVERYWHERE, Rule("attributes", (layer,))).check_within(trained)
    with pytest.raises(UserError, match="another architecture"):
        preset("all_all", SD15).check_within(trained)


def test_render_shows_every_cell() -> None:
    table = custom(
        Rule("mask", ("*",), 0.5), Rule("attributes", ("a",), 0.0), Rule("attributes", ("c",))
    )
    title, header, *rows = table.render().splitlines()
    assert "custom" in title
    assert header.split() == ["layer", "stage", "res", "attributes", "mask"]
    assert [row.split() for row in rows] == [
        ["a", "down", "16", "off", "0.50"],
        ["b", "mid", "8", "absent", "0.50"],
        ["c", "up", "16", "1.00", "0.50"],
    ]
