"""Presets over the reference layout."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from facecond.errors import UserError
from facecond.models.routing import (
    PRESETS,
    SOURCES,
    Layer,
    RankChoice,
    Routing,
    checksum,
    flow_log_snr,
    preset,
)
from facecond.models.unet import FaceUNet

NOISE = {tau: np.array([flow_log_snr(tau)]) for tau in (0.0, 0.1, 0.5, 0.84, 0.86, 1.0)}


def reached(table: Routing, source: str, tau: float = 0.5) -> set[int]:
    """Rows of the layers that a source reaches at a noise level."""
    return set(np.flatnonzero(table.gates(NOISE[tau])[0, :, table.sources.index(source)]))


COARSE, FINE, EVERY = set(range(4, 9)), {0, 1, 2, 3, *range(9, 16)}, set(range(16))


def test_presets_without_windows(sd15: tuple[Layer, ...]) -> None:
    wanted = {
        "all_all": (EVERY, EVERY),
        "coarse_fine": (FINE, COARSE),
        "fine_coarse": (COARSE, FINE),
        "mask_all_attr_fine": (FINE, EVERY),
    }
    for name, (attributes, mask) in wanted.items():
        table = preset(name, sd15)
        assert table.sources == SOURCES and table.is_constant
        assert reached(table, "attributes") == attributes and reached(table, "mask") == mask
        assert set(np.unique(table.gates())) <= {0.0, 1.0}
        assert {state for row in table.states() for state in row} <= {"on", "absent"}


def test_split_attr(sd15: tuple[Layer, ...]) -> None:
    table = preset("split_attr", sd15)
    assert set(table.sources) == {"mask", "attributes:geometry", "attributes:appearance"}
    assert reached(table, "attributes:geometry") == COARSE
    assert reached(table, "attributes:appearance") == FINE
    mask = table.gates()[:, table.sources.index("mask")]
    assert all(mask[row] == (1.0 if row in COARSE else 0.5) for row in EVERY)


def test_presets_with_windows(sd15: tuple[Layer, ...]) -> None:
    cut = preset("mask_cut", sd15)
    assert [reached(cut, "mask", tau) for tau in (0.1, 0.84, 0.86, 1.0)] == [
        set(), set(), EVERY, EVERY,
    ]  # fmt: skip
    assert all(reached(cut, "attributes", tau) == EVERY for tau in NOISE)
    fading = preset("early_late", sd15)
    gates = {tau: fading.gates(noise)[0, 0] for tau, noise in NOISE.items()}
    assert gates[1.0].tolist() == [0.0, 1.0]
    assert gates[0.0].tolist() == [1.0, 0.0]
    assert gates[0.5][0] == pytest.approx((1 + np.cos(np.pi * 0.5 / 0.85)) / 2)
    assert gates[0.5][1] == pytest.approx((1 - np.cos(np.pi * (0.5 - 0.15) / 0.85)) / 2)


def test_windows_follow_the_schedule(sd15: tuple[Layer, ...]) -> None:
    table = preset("mask_cut", sd15, log_snr_of=lambda tau: -10 * tau)
    assert next(rule for rule in table.rules if rule.source == "mask").window.high == -8.5


def test_fewer_sources(sd15: tuple[Layer, ...]) -> None:
    table = preset("coarse_fine", sd15, ["mask"], "joint")
    assert table.sources == ("mask",) and table.combine == "joint"
    assert reached(table, "mask") == COARSE
    with pytest.raises(UserError, match="does not route 'attributes'"):
        preset("split_attr", sd15, ["attributes"])


def test_rank_presets(sd15: tuple[Layer, ...], tmp_path: Path) -> None:
    ids = [layer.id for layer in sd15]
    orders = {"mask": ids, "attributes": ids[::-1]}
    file = tmp_path / "sensitivity.json"
    file.write_text(
        json.dumps(
            {
                "schema": "facecond.sensitivity/1",
                "checksum": checksum(sd15),
                "order": orders,
                "rank": orders,
            }
        )
    )
    rank = RankChoice(str(file), 0.25, 1)
    top, bottom, random = (
        preset(f"rank_{end}k", sd15, rank=rank) for end in ("top", "bottom", "rand")
    )
    assert reached(top, "mask") == {0, 1, 2, 3} == reached(bottom, "attributes")
    assert reached(bottom, "mask") == {12, 13, 14, 15} == reached(top, "attributes")
    assert len(reached(random, "mask")) == len(reached(random, "attributes")) == 4
    again = preset("rank_randk", sd15, rank=RankChoice(str(file), 0.25, 2))
    assert random.gates().tolist() != again.gates().tolist()
    with pytest.raises(UserError, match="needs a sensitivity file"):
        preset("rank_topk", sd15)


def test_unknown_names_offer_the_nearest(sd15: tuple[Layer, ...]) -> None:
    with pytest.raises(UserError, match="Did you mean 'coarse_fine'"):
        preset("coarse-fine", sd15)
    assert len(set(PRESETS)) == 11


def test_layout_of_stable_diffusion_comes_from_the_network(
    make_unet: Callable[..., FaceUNet], sd15: tuple[Layer, ...]
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
    assert [(x.stage, x.resolution) for x in layers] == [(x.stage, x.resolution) for x in sd15]
    assert reached(unet.routing, "mask") == COARSE


def test_a_routing_without_its_references(sd15: tuple[Layer, ...]) -> None:
    table = preset("deadiff", sd15)
    bare = table.without_references()
    assert bare.sources == ("attributes", "mask")
    assert (bare.gates() == preset("all_all", sd15).gates()).all()
    bare.check_within(table)
    assert bare.without_references() is bare
