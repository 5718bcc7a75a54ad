"""Decoder features: they lie on the way to the decoded picture, and stop where they are told."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from facecond.models.decoder_features import stages
from facecond.models.first_stage import AUTOENCODERS, FirstStage, load_autoencoder

Saved = Callable[[str], tuple[Path, Any]]


def raw_of(autoencoder: Any, side: int = 8) -> Tensor:
    shape = (2, autoencoder.config.latent_channels, side, side)
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def finish(autoencoder: Any, feature: Tensor) -> Tensor:
    """From the last feature to the picture, as each decoder does it."""
    decoder, kind = autoencoder.decoder, type(autoencoder).__name__
    if kind == "AutoencoderTiny":
        return decoder.layers[-1](feature) * 2 - 1
    if kind == "AutoencoderDC":
        normed = decoder.norm_out(feature.movedim(1, -1)).movedim(-1, 1)
        return decoder.conv_out(decoder.conv_act(normed))
    return decoder.conv_out(decoder.conv_act(decoder.conv_norm_out(feature)))


@pytest.mark.parametrize("name", AUTOENCODERS)
@torch.no_grad()
def test_the_last_feature_becomes_the_picture(name: str, saved: Saved) -> None:
    autoencoder = saved(name)[1]
    raw = raw_of(autoencoder)
    options = {"force_not_quantize": True} if name == "VQModel" else {}
    picture = autoencoder.decode(raw, **options).sample
    found = list(stages(autoencoder, raw))
    assert torch.allclose(finish(autoencoder, found[-1]), picture, atol=1e-5)
    # Two levels: two features, and the middle block's before them where there is one.
    sides = [feature.shape[-1] for feature in found]
    with_mid = name in ("AutoencoderKL", "VQModel")
    assert sides == ([8, 16, 16] if with_mid else [8, 16])


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_the_decoder_runs_no_further_than_it_must(name: str, saved: Saved) -> None:
    autoencoder = saved(name)[1]
    ran: list[str] = []
    for path, module in autoencoder.decoder.named_modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda *_, path=path: ran.append(path))
    generator = stages(autoencoder, raw_of(autoencoder))
    list(islice(generator, 1))
    first = len(ran)
    list(generator)
    assert 0 < first < len(ran)
    convolutions = [m for m in autoencoder.decoder.modules() if isinstance(m, nn.Conv2d)]
    assert len(set(ran)) < len(convolutions)  # what makes the picture of the last one never ran


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_gradients_reach_latents_alone_and_recomputing_them_changes_nothing(
    name: str, saved: Saved
) -> None:
    stage = load_autoencoder(str(saved(name)[0]))
    stage.measure([torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1])
    gradients = []
    for recompute in (False, True):
        latents = raw_of(stage.autoencoder).requires_grad_()
        found = stage.decoder_features(latents, recompute=recompute)
        torch.stack([feature.square().mean() for feature in found]).sum().backward()
        assert latents.grad is not None and latents.grad.abs().min(0).values.max() > 0
        gradients.append(latents.grad)
    assert torch.equal(*gradients)
    assert all(parameter.grad is None for parameter in stage.parameters())
    assert len(stage.decoder_features(latents, 1)) == 1


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_features_in_bfloat16(name: str, saved: Saved) -> None:
    stage = load_autoencoder(str(saved(name)[0]))
    stage.measure([torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1])
    latents = raw_of(stage.autoencoder)
    exact = stage.decoder_features(latents)
    with torch.autocast("cpu", torch.bfloat16):
        under_autocast = stage.decoder_features(latents)
    stage.to(torch.bfloat16)
    leaf = latents.clone().requires_grad_()
    rounded = stage.decoder_features(leaf)
    assert all(feature.dtype == torch.bfloat16 for feature in rounded)
    for found in (under_autocast, rounded):
        for feature, truth in zip(found, exact, strict=True):
            assert (feature.float() - truth).norm() < 0.05 * truth.norm()
    rounded[-1].float().square().mean().backward()
    assert leaf.grad is not None and torch.isfinite(leaf.grad).all()


def test_the_patch_code_shows_its_picture() -> None:
    stage = FirstStage("LinearPatchCode", {"patch_size": 4, "latent_channels": 6})
    images = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    stage.autoencoder.fit(images)
    stage.measure([images])
    latents = 5 * stage.encode(images).detach()
    (picture,) = stage.decoder_features(latents)
    assert picture.abs().max() > 1  # not clamped: a clamp has no gradient
    assert torch.equal(picture.clamp(-1, 1), stage.decode(latents))
