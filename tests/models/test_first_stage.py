"""First stage: the patch code against linear algebra, and the four autoencoders of diffusers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from einops import rearrange
from torch import Tensor

from facecond.errors import UserError
from facecond.models import first_stage as first_stages
from facecond.models.first_stage import (
    AUTOENCODERS,
    FirstStage,
    LinearPatchCode,
    fit_linear,
    load_autoencoder,
)

PATCH, CHANNELS = 4, 5


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def planted_images(count: int = 12, noise: float = 0.0) -> Tensor:
    """Pictures whose patches lie in a subspace of CHANNELS dimensions (plus noise)."""
    basis = torch.linalg.qr(torch.randn(3 * PATCH**2, CHANNELS, generator=generator(1))).Q
    mean = 0.1 * torch.randn(3 * PATCH**2, generator=generator(2))
    codes = torch.randn(count * 64, CHANNELS, generator=generator(3))
    codes = codes * torch.tensor([1.0, 0.8, 0.6, 0.5, 0.4])
    patches = mean + codes @ basis.T
    patches = patches + noise * torch.randn(patches.shape, generator=generator(4))
    return rearrange(
        patches, "(b h w) (c p q) -> b c (h p) (w q)", h=8, w=8, p=PATCH, q=PATCH
    ).contiguous()


def smooth_images(count: int = 12) -> Tensor:
    """Pictures whose patches resemble their neighbours and fill no subspace."""
    coarse = torch.randn(count, 3, 9, 9, generator=generator(5))
    return torch.nn.functional.interpolate(coarse, size=32, mode="bicubic").clamp(-1, 1)


@torch.no_grad()
def error(code: LinearPatchCode, images: Tensor) -> float:
    return float((code.decode(code.encode(images)) - images).double().square().mean())


def test_planted_subspace_is_reconstructed() -> None:
    code = LinearPatchCode(PATCH, CHANNELS)
    images = planted_images()
    code.fit(images)
    with torch.no_grad():
        assert code.encode(images).shape == (12, CHANNELS, 8, 8)
    assert error(code, images) < 1e-5 * float(images.var())
    # One dimension too few loses the planted variance of the weakest: 0.4^2 of 48 values.
    small = LinearPatchCode(PATCH, CHANNELS - 1)
    small.fit(images)
    assert error(small, images) == pytest.approx(0.4**2 / 48, rel=0.15)


@torch.no_grad()
def test_encoder_is_the_principal_components() -> None:
    code = LinearPatchCode(PATCH, CHANNELS)
    images = planted_images(noise=0.05)
    code.fit(images)
    rows = code.encoder.weight.flatten(1)
    assert torch.allclose(rows @ rows.T, torch.eye(CHANNELS), atol=1e-5)
    raw = rearrange(code.encode(images), "b c h w -> c (b h w)")
    assert raw.mean(1).abs().max() < 1e-5
    covariance = torch.cov(raw)
    assert (covariance - covariance.diag().diag()).abs().max() < 1e-5
    # Sorted, and near the planted variances (768 samples: 5 standard errors are 0.26).
    variances = covariance.diag()
    assert torch.equal(variances, variances.sort(descending=True).values)
    planted = torch.tensor([1.0, 0.8, 0.6, 0.5, 0.4]).square() + 0.05**2
    assert ((variances / planted) - 1).abs().max() < 0.26


def test_decoder_is_the_least_squares_optimum() -> None:
    images = smooth_images().double()
    code = LinearPatchCode(PATCH, CHANNELS).double()
    code.fit(images, ridge=0.0)
    best = error(code, images)
    code.decoder.requires_grad_()
    loss = (code.decode(code.encode(images).detach()) - images).square().mean()
    loss.backward()
    # No direction is downhill: the gradient vanishes, and every step goes up.
    assert code.decoder.weight.grad.abs().max() < 1e-9
    assert code.decoder.bias.grad.abs().max() < 1e-9
    for seed in range(8):
        for scale in (1e-3, 1e-1):
            for parameter in (code.decoder.weight, code.decoder.bias):
                kept = parameter.data.clone()
                noise = torch.randn(kept.shape, generator=generator(seed), dtype=kept.dtype)
                parameter.data.add_(scale * noise)
                assert error(code, images) > best
                parameter.data.copy_(kept)


def by_hand(images: Tensor, ridge: float) -> tuple[np.ndarray, np.ndarray]:
    """PCA of the patches (components) and the decoder [9 C, 3 p^2] of all pictures at once."""
    patches = rearrange(images, "b c (h p) (w q) -> (b h w) (c p q)", p=PATCH, q=PATCH).numpy()
    centred = patches - patches.mean(0)
    components = np.linalg.svd(centred, full_matrices=False)[2][:CHANNELS]  # [C, 3 p^2]
    grid = rearrange(centred @ components.T, "(b h w) c -> b c h w", h=8, w=8)
    padded = np.pad(grid, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    shifts = [padded[:, :, i : i + 8, j : j + 8] for i in range(3) for j in range(3)]
    inputs = rearrange(np.stack(shifts), "k b c h w -> (b h w) (c k)")
    inputs = inputs - inputs.mean(0)
    gram = inputs.T @ inputs / len(inputs)
    gram += ridge * gram.diagonal().mean() * np.eye(len(gram))
    return components, np.linalg.solve(gram, inputs.T @ centred / len(inputs))


@pytest.mark.parametrize("offset", [0.0, 50.0])
def test_a_fit_in_batches_is_that_of_all_pictures_at_once(offset: float) -> None:
    """Against singular values of all patches; also where their mean is far from 0."""
    images = smooth_images().double() + offset
    components, decoder = by_hand(images, 1e-3)
    for batches in (images, images.split(5), [images[:1], images[1:]]):
        code = LinearPatchCode(PATCH, CHANNELS).double()
        code.fit(batches)
        found = code.encoder.weight.detach().flatten(1).numpy()
        signs = np.sign((found * components).sum(1, keepdims=True))
        np.testing.assert_allclose(found * signs, components, atol=1e-9)
        weights = rearrange(code.decoder.weight.detach(), "o c i j -> c i j o").numpy()
        expected = rearrange(decoder, "(c i j) o -> c i j o", i=3, j=3) * signs[:, None, None]
        np.testing.assert_allclose(weights, expected, atol=1e-7)


def test_neighbours_help_and_the_ridge_costs_little() -> None:
    images = smooth_images()
    code = LinearPatchCode(PATCH, CHANNELS)
    code.fit(images)
    with_ridge = error(code, images)
    exact = LinearPatchCode(PATCH, CHANNELS)
    exact.fit(images, ridge=0.0)
    assert error(exact, images) <= with_ridge < 1.05 * error(exact, images)
    # PCA alone decodes a patch from its own latent: the transpose of the encoder.
    rows = code.encoder.weight.detach().flatten(1)
    patches = rearrange(images, "b c (h p) (w q) -> (b h w) (c p q)", p=PATCH, q=PATCH)
    centred = patches - patches.mean(0)
    alone = float((centred @ rows.T @ rows - centred).square().mean())
    assert with_ridge < 0.9 * alone


def fitted(images: Tensor) -> FirstStage:
    stage = FirstStage("LinearPatchCode", {"patch_size": PATCH, "latent_channels": CHANNELS})
    stage.autoencoder.fit(images)
    stage.measure(images.split(5))  # batches of unequal size
    return stage.requires_grad_(False).eval()


def assert_standardised(latents: Tensor) -> None:
    flat = rearrange(latents, "b c h w -> c (b h w)").double()
    assert flat.mean(1).abs().max() < 1e-4
    assert (flat.std(1, correction=0) - 1).abs().max() < 1e-4


def test_latents_have_mean_0_and_std_1_and_decode_inverts() -> None:
    images = planted_images().clamp(-1, 1)
    stage = fitted(images)
    latents = stage.encode(images)
    assert_standardised(latents)
    raw = stage.autoencoder.decode(stage.raw_latents(images))
    assert torch.allclose(stage.decode(latents), raw.clamp(-1, 1), atol=1e-5)
    assert stage.decode(100 * latents).abs().max() == 1


def test_saved_stage_is_bit_equal(tmp_path: Path) -> None:
    images = planted_images()
    stage = fitted(images)
    stage.save_pretrained(tmp_path)
    loaded = first_stages.load(tmp_path)
    assert not loaded.training and not any(p.requires_grad for p in loaded.parameters())
    before, after = stage.state_dict(), loaded.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert torch.equal(loaded.encode(images), stage.encode(images))
    latents = stage.encode(images)
    assert torch.equal(loaded.decode(latents), stage.decode(latents))


@pytest.mark.parametrize("patch", [1, 2])
def test_with_all_channels_latents_are_the_pixels(patch: int, tmp_path: Path) -> None:
    """Pixel space: nothing is lost, and colours keep their proportions."""
    levels = torch.randint(0, 256, (8, 3, 32, 32), generator=generator(7)).float()
    levels[:, 1] = levels[:, 1] / 4 + 60  # channels of different mean and spread
    levels = levels.round()
    images = levels / 127.5 - 1
    stage = fit_linear(images, patch, 3 * patch**2)
    stage.measure(images.split(3))
    latents = stage.encode(images)
    assert latents.shape == (8, 3 * patch**2, 32 // patch, 32 // patch)
    assert_standardised(latents)
    # Each latent channel is one pixel of the patch, shifted and scaled.
    pixels = torch.nn.functional.pixel_unshuffle(images, patch)
    shift, scale = pixels.mean((0, 2, 3)), pixels.std((0, 2, 3), correction=0)
    assert torch.allclose(torch.tensor(stage.config.latents_mean), shift, atol=1e-6)
    assert torch.allclose(torch.tensor(stage.config.latents_std), scale, atol=1e-6)
    expected = (pixels - shift.view(1, -1, 1, 1)) / scale.view(1, -1, 1, 1)
    assert torch.allclose(latents, expected, atol=1e-5)
    # Exact in float32, and to the grey level from the half precision of a latent cache.
    assert (stage.decode(latents) - images).abs().max() < 1e-6
    kept = stage.decode(latents.half().float())
    assert torch.equal(((kept + 1) * 127.5).round(), levels)
    stage.save_pretrained(tmp_path)
    assert torch.equal(first_stages.load(tmp_path).encode(images), latents)


def test_pixels_are_not_fitted_to_the_pictures() -> None:
    """Not even where colour hardly varies: its errors would then outweigh those of brightness."""
    grey = smooth_images().mean(1, keepdim=True).expand(-1, 3, -1, -1)
    tinted = (grey + 0.01 * smooth_images().flip(0)).clamp(-1, 1)
    first, second = (fit_linear(images, 1, 3) for images in (tinted, planted_images()))
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)
    first.measure([tinted])
    stds = torch.tensor(first.config.latents_std)
    assert stds.max() < 1.2 * stds.min()


def test_scale_must_be_measured_first() -> None:
    stage = FirstStage("LinearPatchCode", {"patch_size": 4, "latent_channels": 3})
    with pytest.raises(RuntimeError, match="measure"):
        stage.encode(torch.zeros(1, 3, 8, 8))


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_autoencoders_of_diffusers(
    name: str, saved: Callable[[str], tuple[Path, Any]], tmp_path: Path
) -> None:
    path, autoencoder = saved(name)
    stage = load_autoencoder(str(path))
    assert type(stage.autoencoder) is type(autoencoder)
    weights = autoencoder.state_dict()
    assert all(torch.equal(weights[k], v) for k, v in stage.autoencoder.state_dict().items())
    images = planted_images(4).clamp(-1, 1)
    with torch.no_grad():
        raw = stage.raw_latents(images)
        assert raw.shape == (4, autoencoder.config.latent_channels, 16, 16)
        stage.measure(images.split(3))
        latents = stage.encode(images)
        assert_standardised(latents)
        decoded = stage.decode(latents)
        assert decoded.shape == images.shape
        expected = autoencoder.decode(raw).sample.clamp(-1, 1)
        if name != "VQModel":  # the nearest code may flip within rounding
            assert torch.allclose(decoded, expected, atol=1e-4)
        assert decoded.std() > 0
        stage.save_pretrained(tmp_path)
        loaded = first_stages.load(tmp_path)
        assert torch.equal(loaded.encode(images), latents)
        assert torch.equal(loaded.decode(latents), decoded)


def test_kl_latents_are_the_mode_of_the_distribution(
    saved: Callable[[str], tuple[Path, Any]],
) -> None:
    path, autoencoder = saved("AutoencoderKL")
    images = planted_images(2).clamp(-1, 1)
    with torch.no_grad():
        expected = autoencoder.encode(images).latent_dist.mean
        assert torch.equal(load_autoencoder(str(path)).raw_latents(images), expected)


def test_codes_of_the_codebook_are_decoded(saved: Callable[[str], tuple[Path, Any]]) -> None:
    """Latents of a VQ model are what its encoder gives; decoding snaps them to the codebook, so a
    sampler need not meet the codes exactly."""
    path, autoencoder = saved("VQModel")
    with torch.no_grad():
        autoencoder.quantize.embedding.weight.copy_(torch.eye(3).repeat(11, 1)[:32] * 4)
        autoencoder.save_pretrained(path)
        stage = load_autoencoder(str(path))
        stage.measure([planted_images(4).clamp(-1, 1)])
        raw = torch.zeros(1, 3, 16, 16)
        raw[:, 1] = 4.0
        mean, std = stage._moments(raw)
        exact = stage.decode((raw - mean) / std)
        near = stage.decode((raw + 0.5 * torch.rand(raw.shape) - mean) / std)
        assert torch.allclose(near, exact, atol=1e-5)
        code = autoencoder.decode(raw, force_not_quantize=True).sample.clamp(-1, 1)
        assert torch.allclose(exact, code, atol=1e-5)


@pytest.mark.parametrize("name", AUTOENCODERS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_keeps_latents_in_float32(
    name: str, dtype: torch.dtype, saved: Callable[[str], tuple[Path, Any]]
) -> None:
    stage = load_autoencoder(str(saved(name)[0]))
    images = planted_images(2).clamp(-1, 1)
    with torch.no_grad():
        stage.measure([images])
        expected = stage.encode(images)
        latents = stage.to(dtype).encode(images)
        assert latents.dtype == torch.float32 and latents.shape == expected.shape
        assert (latents - expected).abs().mean() < 0.1
        assert stage.decode(latents).dtype == dtype


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_nothing_is_said_while_loading(
    name: str,
    saved: Callable[[str], tuple[Path, Any]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path, _ = saved(name)
    logger = logging.getLogger("diffusers")
    logger.addHandler(caplog.handler)
    try:
        stage = load_autoencoder(str(path))
        stage.measure([planted_images(2)])
        stage.save_pretrained(tmp_path / "stage")
        load_autoencoder(str(tmp_path / "stage"))
    finally:
        logger.removeHandler(caplog.handler)
    assert not [record.getMessage() for record in caplog.records]


def test_a_saved_first_stage_is_an_autoencoder_too(
    saved: Callable[[str], tuple[Path, Any]], tmp_path: Path
) -> None:
    images = planted_images(4).clamp(-1, 1)
    trained = load_autoencoder(str(saved("AutoencoderKL")[0]))
    for stage in (trained, fitted(images)):
        stage.measure([images])
        stage.save_pretrained(tmp_path / "model" / "first_stage")
        (tmp_path / "model" / "model_index.json").write_text("{}")
        for place in ("model", "model/first_stage"):
            loaded = load_autoencoder(str(tmp_path / place))
            assert loaded.config.latents_std == stage.config.latents_std
            with torch.no_grad():
                assert torch.equal(loaded.encode(images), stage.encode(images))


def test_a_linear_code_that_does_not_fit_is_refused() -> None:
    images = planted_images(2)
    for patch, channels in ((5, 4), (4, 49), (4, 0)):
        with pytest.raises(UserError, match=f"patch_size {patch} and latent_channels {channels}"):
            fit_linear(images, patch, channels)
    assert error(fit_linear(images, PATCH, CHANNELS).autoencoder, images) < 1e-5


def test_latents_that_are_not_finite_are_refused(
    saved: Callable[[str], tuple[Path, Any]],
) -> None:
    stage = load_autoencoder(str(saved("AutoencoderKL")[0]))
    with pytest.raises(UserError, match="latents of some picture hold NaN"):
        stage.measure([torch.full((1, 3, 32, 32), float("nan"))])


def test_moments_are_those_of_the_distribution_at_the_scale_of_latents(
    saved: Callable[[str], tuple[Path, Any]],
) -> None:
    """A planted log variance comes back, and so do samples drawn with it."""
    stage = load_autoencoder(str(saved("AutoencoderKL")[0]))
    planted = torch.tensor([-3.0, -1.0, 0.5, 1.5])  # of the raw latents
    images = planted_images(3).clamp(-1, 1)
    with torch.no_grad():
        stage.autoencoder.quant_conv.weight[4:] = 0
        stage.autoencoder.quant_conv.bias[4:] = planted
        stage.measure([images])
        mean, logvar = stage.encode_moments(images)
        assert logvar is not None and stage.is_stochastic
        assert torch.equal(mean, stage.encode(images))
        std = torch.tensor(stage.config.latents_std)
        expected = (planted - 2 * std.log()).view(1, 4, 1, 1).expand_as(mean)
        assert torch.allclose(logvar, expected, atol=1e-5)
        # Drawn from the distribution of diffusers and scaled, latents spread just so.
        drawn = torch.cat([images[:1]] * 400)
        distribution = stage.autoencoder.encode(drawn).latent_dist
        raw = distribution.sample(generator(6))
    spread = (raw / std.view(1, 4, 1, 1)).var(0).mean((1, 2))
    assert torch.allclose(spread, logvar[0].mean((1, 2)).exp(), rtol=0.05)


@pytest.mark.parametrize("name", [*AUTOENCODERS[1:], "LinearPatchCode"])
def test_other_first_stages_have_no_variance(
    name: str, saved: Callable[[str], tuple[Path, Any]]
) -> None:
    images = planted_images(4).clamp(-1, 1)
    if name == "LinearPatchCode":
        stage = fitted(images)
    else:
        stage = load_autoencoder(str(saved(name)[0]))
        stage.measure([images])
    with torch.no_grad():
        mean, logvar = stage.encode_moments(images)
        assert logvar is None and not stage.is_stochastic
        assert torch.equal(mean, stage.encode(images))


def test_a_place_without_autoencoder_is_refused(tmp_path: Path) -> None:
    for place in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(UserError, match="no autoencoder found"):
            load_autoencoder(str(place))


def test_an_unknown_class_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"_class_name": "AutoencoderTinny"}')
    told = r"/config\.json: '_class_name' is an unknown 'AutoencoderTinny'\. .* 'AutoencoderTiny'"
    with pytest.raises(UserError, match=told):
        load_autoencoder(str(tmp_path))
    for text in ("{}", "[]"):
        config.write_text(text)
        with pytest.raises(UserError, match=r"config\.json: has no '_class_name'.*AutoencoderKL"):
            load_autoencoder(str(tmp_path))
    config.write_text('{"_class_name": "FirstStage", "autoencoder_class": "LinearPatchCodes"}')
    told = r"/config\.json: 'autoencoder_class' is an unknown .* 'LinearPatchCode'"
    with pytest.raises(UserError, match=told):
        load_autoencoder(str(tmp_path))
    with pytest.raises(UserError, match="Did you mean 'VQModel'"):
        FirstStage("VQMoodel", {})


@pytest.mark.parametrize("damage", ["cut short", "deleted"])
def test_damaged_weights_are_refused(
    damage: str, saved: Callable[[str], tuple[Path, Any]], tmp_path: Path
) -> None:
    _, autoencoder = saved("AutoencoderTiny")
    autoencoder.save_pretrained(tmp_path)
    (weights,) = tmp_path.glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:1000])
    if damage == "deleted":
        weights.unlink()
    with pytest.raises(UserError, match="weights cannot be loaded"):
        load_autoencoder(str(tmp_path))
