"""The dry run of a first stage: real numbers, and faults found before any training."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from facecond.config import FirstStageRunConfig, load
from facecond.errors import UserError
from facecond.training.first_stage_plan import autoencoder_for, check, describe, discriminator_for

CONFIGS = Path(__file__).resolve().parent.parent.parent / "configs"
SHIPPED = sorted(p for p in CONFIGS.rglob("*.yaml") if "\nautoencoder:" in p.read_text())


def shipped(*overrides: str, name: str = "first_stage_f4_64") -> FirstStageRunConfig:
    return load(FirstStageRunConfig, name, overrides)


def numbers(text: str, word: str) -> list[float]:
    """Numbers of the line of the summary that begins with a word."""
    (line,) = re.findall(rf"^{word} +(.*)$", text, re.MULTILINE)
    return [float(number) for number in re.findall(r"\d+\.?\d*", line)]


def test_three_configs_are_shipped() -> None:
    assert [path.stem for path in SHIPPED] == [
        "first_stage_f4", "first_stage_f4_64", "first_stage_f8",
    ]  # fmt: skip


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_first_stage_can_be_described(path: Path) -> None:
    text = describe(load(FirstStageRunConfig, path, ["data.root=''"]))
    channels, height, width, compression = numbers(text, "latents")
    factor = int(re.findall(r"_f(\d+)", path.stem)[0])
    assert height == width == 256 / factor
    assert compression == pytest.approx(3 * factor**2 / channels, abs=0.05)
    assert numbers(text, "parameters")[0] > 0.5 and "assumed" in text


def test_the_numbers_are_those_of_the_networks_built(rendered_root: Path) -> None:
    config = shipped(f"data.root={rendered_root}", "loss.adversary=0.5", "loss.adversary_start=70")
    text = describe(config)
    built = autoencoder_for(config, 64), discriminator_for(config)
    millions = [sum(p.numel() for p in part.parameters()) / 1e6 for part in built]
    assert numbers(text, "parameters") == pytest.approx(millions, abs=0.006)
    assert numbers(text, "pictures")[0] == 64
    assert numbers(text, "discriminator") == [70, 34]
    assert "from step 70" in text and "left out" in describe(shipped("loss.adversary=0"))


def test_activations_grow_with_the_batch_and_shrink_with_checkpointing() -> None:
    def gib(*overrides: str) -> float:
        wide = shipped("train.batch_size=64", "train.precision=fp32", *overrides)
        return numbers(describe(wide), "activations")[0]

    large = gib()
    assert large == pytest.approx(2 * gib("train.batch_size=32"), rel=0.02)
    assert gib("train.gradient_checkpointing=true") < 0.7 * large
    assert gib("train.precision=bf16") == pytest.approx(large / 2, rel=0.02)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["autoencoder.block_out_channels=[8,8,8,8,8,8,8,8]"], "64 px pictures cannot be divided"),
        (["autoencoder.norm_num_groups=7"], "norm_num_groups 7 does not divide"),
        (["loss.adversary=1", "discriminator.layers=6"], "too small for 6 layers"),
        (["loss.perceptual=1", "loss.perceptual_trunk=gone.pth"], r"gone\.pth: there is no such"),
        (["train.minutes=0"], "no length is given"),
        (["discriminator.width=12"], "width 12"),
        (["data.root=/nowhere/at/all"], "/nowhere/at/all"),
    ],
)
def test_faults_are_found(rendered_root: Path, overrides: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        describe(shipped(f"data.root={rendered_root}", *overrides))


def test_small_pictures_are_too_small_for_a_perceptual_distance() -> None:
    config = shipped("loss.perceptual=1", "loss.perceptual_trunk=random")
    check(config, 32)
    with pytest.raises(UserError, match="32 px at least, not 24"):
        check(config, 24)
