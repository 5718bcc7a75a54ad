"""build_denoiser: what a config's numbers become, and what it refuses."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Any

import pytest
import torch

from facecond.attribute_split import geometry
from facecond.config import DenoiserConfig
from facecond.errors import UserError
from facecond.labels import ATTRIBUTES
from facecond.models.denoiser import Denoiser, build_denoiser
from facecond.models.routing import Layer, Routing, parse_rules, preset


def build(**options: Any) -> Denoiser:
    defaults: dict[str, Any] = dict(
        image_size=16,
        latent_size=8,
        latent_channels=3,
        **asdict(DenoiserConfig()),
    )
    defaults |= {
        "block_out_channels": [16, 32],
        "attention_head_dim": 8,
        "norm_num_groups": 8,
        "condition_dim": 12,
        "mask_grid": 4,
    }
    return build_denoiser(**(defaults | options))


def inputs(batch: int = 2) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(batch, 3, 8, 8, generator=generator),
        torch.tensor([20.0, 800.0])[:batch],
        torch.randint(-1, 2, (batch, 40), generator=generator, dtype=torch.int8),
        torch.randint(0, 19, (batch, 16, 16), generator=generator, dtype=torch.uint8),
    )


def test_forward_reads_latents_time_and_both_conditions() -> None:
    model = build().eval()
    x_t, t, attributes, mask = inputs()
    with torch.no_grad():
        out = model(x_t, t, attributes, mask)
        assert out.shape == x_t.shape
        for changed in (
            (x_t + 0.1, t, attributes, mask),
            (x_t, t + 10, attributes, mask),
            (x_t, t, 1 - attributes.clamp_min(0), mask),
            (x_t, t, attributes, mask.flip(2)),
        ):
            assert not torch.allclose(model(*changed), out, atol=1e-5)


def test_every_parameter_gets_a_gradient() -> None:
    model = build().train()
    model(*inputs()).square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_weights_depend_on_the_seed_alone() -> None:
    torch.manual_seed(1)
    first = build(seed=5).state_dict()
    torch.manual_seed(2)
    state = torch.get_rng_state()
    again, other = build(seed=5).state_dict(), build(seed=6).state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(first[key], again[key]) for key in first)
    differ = [key for key in first if not torch.equal(first[key], other[key])]
    assert "unet.conv_in.weight" in differ and "condition_encoder.attributes.name" in differ


def test_numbers_reach_the_network() -> None:
    model = build(positions="rotary", route=partial(preset, "coarse_fine"))
    config = model.unet.config
    assert config.attention_head_dim == (2, 4)  # heads: widths 16 and 32 over heads of 8
    assert [attention.heads for attention in model.unet.cross_attentions()] == [2, 4, 4, 4, 4, 2, 2]
    assert config.sample_size == 8 and config.cross_attention_dim == 12
    assert config.positions == "rotary" and config.mask_grid == 4
    assert model.unet.routing.name == "coarse_fine"
    assert model.condition_encoder.config.image_size == 16


def test_routing_is_made_for_the_layers_of_the_network() -> None:
    mid = "mid_block.attentions.0.transformer_blocks.0"
    rules = [
        {"source": "attributes", "layers": [mid], "scale": 0.5},
        {"source": "mask", "layers": "*"},
    ]

    def route(layers: tuple[Layer, ...]) -> Routing:
        return Routing("mine", layers, parse_rules(rules, layers, "here"))

    unet = build(route=route).unet
    assert unet.routing.name == "mine"
    gates = unet.gates()
    assert gates[:, 1].tolist() == [1.0] * 7
    assert gates[:, 0].tolist() == [0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask_grid": 5}, "mask_grid 5 does not divide the image size 16"),
        ({"attention_head_dim": 12}, "width 16 is no multiple"),
        ({"norm_num_groups": 5}, "width 16 is no multiple"),
        ({"route": partial(preset, "coarse_fin")}, "Did you mean 'coarse_fine'"),
        ({"mask_input": "channels"}, "both a source and channels"),
        ({"positions": "rotary", "attention_head_dim": 2}, "multiple of 4, not 2"),
        ({"down_block_types": ["CrossAttnDownBlock2D", "NoBlock"]}, "NoBlock"),
        ({"up_block_types": ["NoBlock", "CrossAttnUpBlock2D"]}, "NoBlock"),
        ({"mid_block_type": "NoBlock"}, "NoBlock"),
        ({"down_block_types": ["CrossAttnDownBlock2D"]}, "^denoiser: these blocks cannot be built"),
        ({"up_block_types": ["UpBlock2D"] * 3}, "^denoiser: these blocks cannot be built"),
        ({"block_out_channels": []}, "^denoiser: these blocks cannot be built"),
    ],
)
def test_settings_that_do_not_fit_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        build(**options)
    assert "\n" not in str(caught.value)


def attributes_only(layers: tuple[Layer, ...]) -> Routing:
    return preset("all_all", layers, ["attributes"])


def test_mask_as_channels_is_read_without_cross_attention() -> None:
    model = build(mask_input="channels", route=attributes_only).eval()
    assert model.unet.config.in_channels == 3 + 12 and model.unet.config.out_channels == 3
    assert model.condition_encoder.reads == ("attributes", "mask")
    assert all(set(layer.to_kv) == {"attributes"} for layer in model.unet.cross_attentions())
    x_t, t, attributes, mask = inputs()
    with torch.no_grad():
        out = model(x_t, t, attributes, mask)
        assert out.shape == x_t.shape
        moved = model(x_t, t, attributes, mask.flip(2))
        assert not torch.allclose(moved, out, atol=1e-5)
    model.train()(*inputs()).square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("sources", [[], ["attributes"], ["mask"]])
def test_conditions_that_are_not_routed_have_no_parameters_and_no_effect(
    sources: list[str],
) -> None:
    def route(layers: tuple[Layer, ...]) -> Routing:
        named = preset("all_all", layers, sources) if sources else None
        return named or Routing("none", layers, (), ())

    model = build(route=route).train()
    assert list(model.condition_encoder.reads) == sources
    x_t, t, attributes, mask = inputs()
    out = model(x_t, t, attributes, mask)
    changed = {"attributes": 1 - attributes.clamp_min(0), "mask": mask.flip(2)}
    for name, other in changed.items():
        given = {"attributes": attributes, "mask": mask} | {name: other}
        same = torch.equal(model(x_t, t, given["attributes"], given["mask"]), out)
        assert same == (name not in sources)
    if sources:
        out.square().sum().backward()
        names = [name for name, p in model.named_parameters() if p.grad is None]
        assert names == []


def test_parts_of_the_attributes_are_routed_by_themselves() -> None:
    model = build(route=partial(preset, "split_attr")).eval()
    part = set(model.condition_encoder.config.geometry)
    assert part == set(geometry()) and 0 < len(part) < len(ATTRIBUTES)
    x_t, t, attributes, mask = inputs()
    unet = model.unet
    with torch.no_grad():
        tokens = model.condition_encoder(attributes, mask)
        widths = {source: value.shape[1] for source, value in tokens.items()}
        assert widths["attributes:geometry"] == len(part)
        assert widths["attributes:appearance"] == len(ATTRIBUTES) - len(part)
        gates = unet.gates()
        gates[:, unet.routing.sources.index("attributes:appearance")] = 0
        out = model(x_t, t, attributes, mask, gates)
        for row, name in enumerate(ATTRIBUTES):
            flipped = attributes.clone()
            flipped[:, row] = (attributes[:, row] + 2) % 3 - 1
            same = torch.equal(model(x_t, t, flipped, mask, gates), out)
            assert same == (name not in part), name


def test_gates_of_a_sample_change_that_sample_alone() -> None:
    model = build().eval()
    x_t, t, attributes, mask = inputs()
    gates = torch.stack([model.unet.gates()] * 2)  # [2, L, S]
    gates[1] = 0
    with torch.no_grad():
        both = model(x_t, t, attributes, mask)
        cut = model(x_t, t, attributes, mask, gates)
    assert torch.allclose(cut[0], both[0], atol=1e-5)
    assert not torch.allclose(cut[1], both[1], atol=1e-4)
