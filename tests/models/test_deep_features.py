"""Feature reuse: what is computed again, when, and that nothing changes where nothing is reused."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from facecond.errors import UserError
from facecond.models.deep_features import DeepFeatures, check_every, predict
from facecond.models.unet import FaceUNet

SHAPES = ([16], [16, 32], [16, 32, 32])
"""Of denoisers of one, two and three levels."""


def denoiser(widths: list[int]) -> FaceUNet:
    torch.manual_seed(0)
    unet = FaceUNet(
        sample_size=8, in_channels=4, out_channels=4, block_out_channels=widths,
        layers_per_block=2, norm_num_groups=8, attention_head_dim=8, cross_attention_dim=16,
        down_block_types=["CrossAttnDownBlock2D"] * (len(widths) - 1) + ["DownBlock2D"],
        up_block_types=["UpBlock2D"] + ["CrossAttnUpBlock2D"] * (len(widths) - 1), mask_grid=4,
    )  # fmt: skip
    return unet.eval()


def conditions(unet: FaceUNet, deep: DeepFeatures | None = None) -> Any:
    generator = torch.Generator().manual_seed(1)
    tokens = {
        "attributes": torch.randn(2, 40, 16, generator=generator),
        "mask": torch.randn(2, 16 + 19, 16, generator=generator),
    }
    given = unet.conditions(tokens)
    given.deep = deep
    return given


@pytest.mark.parametrize("side", [8, 10])  # 10 x 10 becomes 5 x 5, then 3 x 3
@pytest.mark.parametrize("widths", SHAPES)
@torch.no_grad()
def test_made_now_is_the_models_own_pass(widths: list[int], side: int) -> None:
    unet, x_t = denoiser(widths), torch.randn(2, 4, side, side)
    own = unet(x_t, 500.0, conditions(unet)).sample
    features = DeepFeatures(2)
    assert torch.equal(unet(x_t, 500.0, conditions(unet, features)).sample, own)
    assert features.value is not None
    again = unet(x_t, 500.0, conditions(unet, features)).sample  # the same features, reused
    assert torch.equal(again, own)


@pytest.mark.parametrize("widths", SHAPES)
@torch.no_grad()
def test_reused_runs_the_outermost_blocks_alone(widths: list[int]) -> None:
    unet, features = denoiser(widths), DeepFeatures(2)
    unet(torch.randn(2, 4, 8, 8), 500.0, conditions(unet, features))
    ran = set()
    blocks = {"mid_block": unet.mid_block}
    for kind in ("down_blocks", "up_blocks"):
        blocks |= {f"{kind}.{i}": block for i, block in enumerate(getattr(unet, kind))}
    for name, block in blocks.items():
        block.register_forward_hook(lambda *_, name=name: ran.add(name))
    x_t = torch.randn(2, 4, 8, 8)
    one = predict(unet, x_t, 400.0, conditions(unet), features)
    assert ran == {"down_blocks.0", f"up_blocks.{len(widths) - 1}"}
    assert not torch.equal(one, predict(unet, x_t + 1, 400.0, conditions(unet), features))
    assert not torch.equal(one, predict(unet, x_t, 100.0, conditions(unet), features))


def test_features_grow_old_with_the_steps() -> None:
    features, gates = DeepFeatures(3), torch.ones(2, 2)
    made = []
    for step in (0, 1, 2, 3, 4, 7):
        features.begin(step, gates)
        made.append(features.value is None)
        features.value = torch.zeros(1)
    assert made == [True, False, False, True, False, True]


def test_features_end_with_the_sources_that_they_were_made_of() -> None:
    features, gates = DeepFeatures(100), torch.tensor([[1.0, 0.5], [0.0, 1.0]])
    features.begin(0, gates)
    features.value = torch.zeros(1)
    features.begin(1, gates * 0.5)  # weaker, but the same ones are open
    assert features.value is not None
    features.begin(2, torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    assert features.value is None


@pytest.mark.parametrize("every", [0, -1, 1.5, True])
def test_numbers_that_cannot_be(every: Any) -> None:
    with pytest.raises(UserError, match="feature_reuse"):
        check_every(every)
    check_every(2)
