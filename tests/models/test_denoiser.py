"""build_denoiser: what a config's numbers become, and what it refuses."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
import torch

from facecond.config import DenoiserConfig
from facecond.errors import UserError
from facecond.models.denoiser import Denoiser, build_denoiser


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
    model = build(positions="rotary", preset="coarse_fine")
    config = model.unet.config
    assert config.attention_head_dim == (2, 4)  # heads: widths 16 and 32 over heads of 8
    assert [attention.heads for attention in model.unet.cross_attentions()] == [2, 4, 4, 4, 4, 2, 2]
    assert config.sample_size == 8 and config.cross_attention_dim == 12
    assert config.positions == "rotary" and config.mask_grid == 4
    assert model.unet.routing.name == "coarse_fine"
    assert model.condition_encoder.config.image_size == 16


def test_rules_replace_the_preset() -> None:
    mid = "mid_block.attentions.0.transformer_blocks.0"
    rules = [
        {"source": "attributes", "layers": [mid], "scale": 0.5},
        {"source": "mask", "layers": "*"},
    ]
    unet = build(preset="coarse_fine", rules=rules).unet
    assert unet.routing.name == "custom"
    gates = unet.gates()
    assert gates[:, 1].tolist() == [1.0] * 7
    assert gates[:, 0].tolist() == [0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask_grid": 5}, "mask_grid 5 does not divide the image size 16"),
        ({"attention_head_dim": 12}, "width 16 is no multiple"),
        ({"norm_num_groups": 5}, "width 16 is no multiple"),
        ({"preset": "coarse_fin"}, "Did you mean 'coarse_fine'"),
        (
            {"rules": [{"source": "mask", "layers": ["mid_block.attentions.0.transformer_block"]}]},
            "Did you mean 'mid_block\\.",
        ),
        ({"rules": [{"source": "mask", "layers": "*"}]}, "'attributes' reaches no layer"),
        ({"rules": [{"source": "mask"}]}, "damaged rule"),
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
