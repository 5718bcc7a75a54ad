"""MobileFaceNet: the names and shapes of its state dict, written out by hand; what it is shown."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from facecond.errors import UserError
from facecond.models.face_embedding import FaceBox, boxed, load_face_embedder
from facecond.models.judges import AttributeClassifier
from facecond.models.pixels import to_network

Shapes = dict[str, tuple[int, ...]]


def norm(name: str, channels: int) -> Shapes:
    vectors = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{part}": (channels,) for part in vectors} | {f"{name}.num_batches_tracked": ()}


def layer(name: str, weight: tuple[int, ...], linear: bool = False) -> Shapes:
    shapes = {f"{name}.conv.weight": weight} | norm(f"{name}.bn", weight[0])
    return shapes if linear else shapes | {f"{name}.prelu.weight": (weight[0],)}


def mobilefacenet() -> Shapes:
    shapes = layer("conv1", (64, 3, 3, 3)) | layer("dw_conv1", (64, 1, 3, 3))
    plan = [(64, 128, 64)] * 5 + [(64, 256, 128)] + [(128, 256, 128)] * 6
    plan += [(128, 512, 128)] + [(128, 256, 128)] * 2
    for index, (before, width, after) in enumerate(plan):
        place = f"blocks.{index}.conv"
        shapes |= {f"{place}.0.weight": (width, before, 1, 1)} | norm(f"{place}.1", width)
        shapes |= {f"{place}.2.weight": (width,), f"{place}.3.weight": (width, 1, 3, 3)}
        shapes |= norm(f"{place}.4", width) | {f"{place}.5.weight": (width,)}
        shapes |= {f"{place}.6.weight": (after, width, 1, 1)} | norm(f"{place}.7", after)
    shapes |= layer("conv2", (512, 128, 1, 1)) | layer("linear7", (512, 1, 7, 6), linear=True)
    return shapes | layer("linear1", (128, 512, 1, 1), linear=True)


def random_weights(seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, shape in mobilefacenet().items():
        if name.endswith("tracked"):
            weights[name] = torch.tensor(7)
        elif len(shape) == 4:
            fan_in = shape[1] * shape[2] * shape[3]
            weights[name] = torch.randn(shape, generator=generator) * (2 / fan_in) ** 0.5
        else:
            weights[name] = torch.rand(shape, generator=generator) + 0.5
    return weights


@pytest.fixture
def file(tmp_path: Path) -> Path:
    save_file(random_weights(), tmp_path / "m.safetensors")
    return tmp_path / "m.safetensors"


def pictures(count: int, side: int = 64) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def test_a_state_dict_loads_and_gives_unit_vectors(file):
    embed = load_face_embedder(f"mobilefacenet:{file}")
    images = pictures(35)  # more than a batch
    vectors = embed(images)
    assert vectors.shape == (35, 128) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(embed(images[33:]), vectors[33:], atol=1e-5)
    assert not np.allclose(vectors[0], vectors[1], atol=1e-3)
    assert embed(pictures(2, 100)).shape == (2, 128)  # any size


def test_the_hash_names_weights_and_box(file, tmp_path):
    save_file(random_weights(1), tmp_path / "other.safetensors")
    first = load_face_embedder(f"mobilefacenet:{file}")
    assert first.hash == load_face_embedder(f"mobilefacenet:{file}").hash
    other = load_face_embedder(f"mobilefacenet:{tmp_path / 'other.safetensors'}")
    moved = load_face_embedder(f"mobilefacenet:{file}", box=FaceBox(0.5, 0.2))
    assert len({first.hash, other.hash, moved.hash}) == 3


@pytest.mark.parametrize("side", [96, 384])
def test_the_box_is_cut_out(side):
    """A picture whose red is its column and whose green is its row, 0 to 255."""
    ramp = ((torch.arange(side) + 0.5) * 256 / side).clamp(max=255)
    image = torch.zeros(1, 3, side, side)
    image[0, 0], image[0, 1] = ramp[None], ramp[:, None]
    box = FaceBox(width=0.6, top=0.2)
    face = boxed(image.to(torch.uint8), box)
    assert face.shape == (1, 3, 112, 96)
    pixels = face[0] * 128 + 127.5
    x = (0.2 + 0.6 * (torch.arange(96) + 0.5) / 96) * 256
    y = (0.2 + 0.7 * (torch.arange(112) + 0.5) / 112) * 256
    assert (pixels[0] - x[None]).abs().max() < 3
    assert (pixels[1] - y[:, None]).abs().max() < 3
    assert (pixels[2] == 0).all()


def test_the_judges_features_stand_in():
    with torch.random.fork_rng():
        judge = AttributeClassifier(width=8, image_size=64).eval()
    embed = load_face_embedder("judge", judge)
    images = pictures(3)
    with torch.inference_mode():
        features = judge.features(to_network(torch.from_numpy(images).permute(0, 3, 1, 2)))
    expected = torch.nn.functional.normalize(features.flatten(1), dim=1)
    np.testing.assert_allclose(embed(images), expected, atol=1e-5)


def test_pictures_of_another_kind_are_refused(file):
    with pytest.raises(ValueError, match="uint8"):
        load_face_embedder(f"mobilefacenet:{file}")(pictures(2).astype(np.float32))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("mobilfacenet:x", "unknown face embedding.*Did you mean 'mobilefacenet'"),
        ("mobilefacenet", "needs a file"),
        ("mobilefacenet:none.safetensors", "there is no such file"),
        ("judge", "needs an attribute classifier"),
        ("judge:x", "Write 'judge' alone"),
    ],
)
def test_unfit_words_are_refused(spec, message):
    with pytest.raises(UserError, match=message):
        load_face_embedder(spec)


def test_unfit_files_are_refused(tmp_path):
    path = tmp_path / "m.safetensors"
    for change, message in (
        ({"linear1.conv.weight": torch.zeros(256, 512, 1, 1)}, "lacks .*'linear1.conv.weight'"),
        ({"conv1.bn.bias": torch.full((64,), torch.nan)}, "'conv1.bn.bias' holds NaN"),
        ({"head.weight": torch.zeros(3)}, "holds 'head.weight', which MobileFaceNet has not"),
    ):
        save_file(random_weights() | change, path)
        with pytest.raises(UserError, match=message):
            load_face_embedder(f"mobilefacenet:{path}")
    path.write_bytes(b"nothing")
    with pytest.raises(UserError, match="cannot be read"):
        load_face_embedder(f"mobilefacenet:{path}")


@pytest.mark.skipif("FACECOND_MOBILEFACENET" not in os.environ, reason="names no weights")
def test_the_weights_of_others_load():
    """With FACECOND_MOBILEFACENET naming a state dict that was trained on faces."""
    embed = load_face_embedder(f"mobilefacenet:{os.environ['FACECOND_MOBILEFACENET']}")
    assert np.isfinite(embed(pictures(2))).all()
