"""The dry run: it needs no data, and its numbers are those of the network really built."""

from __future__ import annotations

import math
import re
from pathlib import Path
from statistics import NormalDist

import pytest
import torch

from facecond.config import RunConfig, dump, load
from facecond.data.prepared import PreparedFolder
from facecond.errors import UserError
from facecond.models.first_stage import load_autoencoder
from facecond.training import setup
from facecond.training.plan import describe
from facecond.training.setup import denoiser_for

NARROW = ["denoiser.block_out_channels=[32, 64]", "denoiser.norm_num_groups=8", "train.steps=10"]


def shipped(*overrides: str) -> RunConfig:
    return load(RunConfig, "configs/rendered_64.yaml", overrides)


def figures(text: str) -> dict[str, list[float]]:
    """Numbers of each line of the summary by its first word."""
    found = {}
    for line in text.splitlines():
        if match := re.match(r"(pictures|latents|parameters|memory|weight) +(.*)", line):
            found[match[1]] = [float(n) for n in re.findall(r"\d+\.?\d*", match[2])]
    return found


def test_the_demos_config_without_data() -> None:
    config = shipped("data.root=''")
    text = describe(config)
    assert text.startswith(dump(config).rstrip())
    assert "data.root is not set" in text
    patch, channels = config.first_stage.patch_size, config.first_stage.latent_channels
    assert figures(text)["pictures"] == [64]
    side = 64 // patch
    assert figures(text)["latents"] == [channels, side, side]
    model = denoiser_for(config, 64, (channels, side, side))
    assert not any(p.is_meta for p in model.parameters())
    millions = sum(p.numel() for p in model.parameters()) / 1e6
    encoders = sum(p.numel() for p in model.condition_encoder.parameters()) / 1e6
    assert figures(text)["parameters"] == pytest.approx([millions, encoders], abs=0.005)
    assert text.endswith(model.unet.routing.render())


CONFIGS = Path(__file__).resolve().parent.parent.parent / "configs"
OTHERS = ("\njudge:", "\nautoencoder:", "\nvariants:")
RUNS = sorted(
    p for p in CONFIGS.rglob("*.yaml") if not any(word in p.read_text() for word in OTHERS)
)


@pytest.mark.parametrize("path", RUNS, ids=lambda path: str(path.relative_to(CONFIGS)))
def test_every_shipped_run_can_be_described(path: Path) -> None:
    made = load(RunConfig, path, ["data.root=''"])
    if made.few_step.guidance:
        with pytest.raises(UserError, match=r"few_step\.teacher: no model to distill is named"):
            describe(made)
        return
    found = figures(describe(made))
    assert found["parameters"][0] > 0.1 and found["memory"][0] > 0


def test_size_comes_from_the_data(rendered_root: Path) -> None:
    config = shipped(f"data.root={rendered_root}")
    size = PreparedFolder.open(rendered_root).image_size
    found = figures(describe(config))
    assert found["pictures"][0] == size
    side = size // config.first_stage.patch_size
    assert found["latents"] == [config.first_stage.latent_channels, side, side]


def test_memory_grows_with_the_batch_and_shrinks_with_checkpointing() -> None:
    def activations(*overrides: str) -> float:
        return figures(describe(shipped(*NARROW, "train.precision=fp32", *overrides)))["memory"][-1]

    small, large = activations("train.batch_size=32"), activations("train.batch_size=64")
    assert large == pytest.approx(2 * small, rel=0.05)
    checkpointed = activations("train.batch_size=64", "train.gradient_checkpointing=true")
    assert checkpointed < 0.6 * large
    halved = figures(describe(shipped(*NARROW, "train.batch_size=64", "train.precision=bf16")))
    assert halved["memory"][-1] == pytest.approx(large / 2, rel=0.05)


def test_state_counts_the_optimisers_buffers() -> None:
    config = shipped("denoiser.block_out_channels=[256, 512]")
    for name, copies in (("muon", 4), ("adamw", 5)):
        config.optim.optimizer = name  # type: ignore[assignment]
        found = figures(describe(config))
        expected = found["parameters"][0] * 1e6 * 4 * copies / 2**30
        assert found["memory"][2] == pytest.approx(expected, abs=0.006)


def perceptual_line(*overrides: str) -> str:
    lines = describe(shipped(*NARROW, "train.precision=fp32", *overrides)).splitlines()
    return next((line for line in lines if line.startswith("perceptual  ")), "")


def test_the_perceptual_loss_is_told_with_its_share_and_memory(
    rendered_root: Path, kl_autoencoder: Path
) -> None:
    assert perceptual_line() == ""
    # Flow: SNR >= 4 where t <= 1/3, that is where a standard normal is below log(1/2).
    line = perceptual_line("perceptual.weight=2")
    share = NormalDist().cdf(math.log(0.5))
    assert f"weight 2 where SNR >= 4 ({share:.0%})" in line and "feature maps: 1;" in line
    kl = [
        f"first_stage.autoencoder={kl_autoencoder}",
        "first_stage.latent_channels=4",
        f"data.root={rendered_root}",
        "perceptual.weight=1",
        "train.batch_size=6400",
    ]

    def memory(*overrides: str) -> float:
        found = re.search(r"about ([\d.]+) GiB more", perceptual_line(*kl, *overrides))
        assert found
        return float(found[1])

    # What autograd keeps of a real pass over one picture, by the same hooks.
    stage = load_autoencoder(str(kl_autoencoder))
    stage.measure([torch.rand(2, 3, 64, 64) * 2 - 1])
    kept: dict[int, int] = {}

    def count(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    latents = torch.zeros(1, 4, 16, 16, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        features = stage.decoder_features(latents)
    decoder = sum(kept.values()) * math.ceil(share * 6400) / 2**30
    assert decoder < memory() < 2 * decoder  # and what the distances keep
    assert memory("train.gradient_checkpointing=true") < 0.8 * memory()
    assert memory("perceptual.layers=1") < 0.2 * memory()
    assert len(features) == 4 and "feature maps: 4" in perceptual_line(*kl)
    assert "unknown" in perceptual_line("first_stage.autoencoder=some/id", "perceptual.weight=1")


def test_nothing_to_sample_is_found_without_data() -> None:
    with pytest.raises(UserError, match="deterministic"):
        describe(shipped(*NARROW, "data.sample_latents=true"))


def test_weight_shares_add_up() -> None:
    shares = figures(describe(shipped(*NARROW)))["weight"][:10]
    assert sum(shares) == pytest.approx(1, abs=0.05) and min(shares) >= 0


def test_routing_of_the_config_is_shown() -> None:
    text = describe(shipped(*NARROW, "routing.preset=coarse_fine"))
    assert "routing 'coarse_fine'" in text and "absent" in text


def test_a_pretrained_autoencoder_is_not_needed() -> None:
    """Its shape is taken from the config, so that a dry run works before anything is there."""
    stage = ["first_stage.patch_size=8", "first_stage.latent_channels=6"]
    text = describe(shipped(*NARROW, *stage, "first_stage.autoencoder=some/hub-id"))
    assert figures(text)["pictures"] == [256]
    side = 256 // 8
    assert figures(text)["latents"] == [6, side, side]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("routing.preset=coarsefine", "Did you mean 'coarse_fine'"),
        ("objective.prediction=epsilon", "SNR 0"),
        ("denoiser.mask_grid=7", "does not divide"),
        ("denoiser.mid_block_type=NoBlock", "NoBlock"),
        ("dropout.attributes=0.95", "more than 1"),
        ("first_stage.patch_size=7", "do not fit 64 px pictures"),
        ("first_stage.latent_channels=49", "do not fit 64 px pictures"),
        ("sampling.scheduler=unipcc", "Did you mean 'unipc'"),
        ("sampling.scheduler=ddim", "unknown scheduler|cannot sample a flow model"),
        ("sampling.guidance.masks=2", "Did you mean 'mask'"),
        ("sampling.guidance.mask=-1", "out of range"),
        ("data.root=/nowhere/at/all", "/nowhere/at/all"),
    ],
)
def test_faults_of_the_config_are_found(override: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        describe(shipped(*NARROW, override))


def test_a_run_without_length_is_found() -> None:
    with pytest.raises(UserError, match="no length is given"):
        describe(shipped(*NARROW[:-1], "train.steps=0", "train.minutes=0"))


def test_activations_are_halved_only_where_bfloat16_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def activations() -> float:
        wide = shipped(*NARROW, "train.batch_size=64", "train.precision=auto")
        return figures(describe(wide))["memory"][-1]

    found = []
    for fast in (False, True):
        monkeypatch.setattr(setup, "has_fast_bf16", lambda kind, fast=fast: fast)
        found.append(activations())
    assert found[1] == pytest.approx(found[0] / 2, rel=0.05)
