"""Extractors: names that keep their word, preprocessing by its definition, files at fault."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from facecond import metrics
from facecond.errors import UserError
from facecond.models.feature_extractors import INCEPTION_FILE, load_extractor
from facecond.models.judges import AttributeClassifier
from facecond.storage import sha256

TINY = "test_vit"


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    """More than one batch, smooth enough that resizing keeps something."""
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (40, 8, 8, 3)).astype(np.uint8)
    return np.stack([np.asarray(Image.fromarray(c).resize((32, 32))) for c in coarse])


@pytest.fixture(scope="module")
def classifier(pictures: np.ndarray) -> AttributeClassifier:
    """With random weights; its norms know the pictures, so that features have unit variance."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AttributeClassifier(width=8, image_size=32, feature_size=12)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
    model(torch.from_numpy(pictures).permute(0, 3, 1, 2) / 127.5 - 1)
    return model.eval()


def test_features_of_the_judge(classifier: AttributeClassifier, pictures: np.ndarray) -> None:
    extractor = load_extractor("judge", classifier)
    assert (extractor.frechet, extractor.kernel) == ("frechet_judge", "kernel_judge")
    found = extractor.features(pictures)
    network = torch.from_numpy(pictures).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.inference_mode():
        expected = classifier.features(network).numpy()
    assert found.dtype == np.float32 and found.shape == (40, 12)
    assert np.allclose(found, expected, atol=1e-5)
    alone = np.concatenate([extractor.features(picture[None]) for picture in pictures])
    assert np.allclose(found, alone, atol=1e-5)


def test_identical_pictures_are_at_no_distance(
    classifier: AttributeClassifier, pictures: np.ndarray
) -> None:
    extractor = load_extractor("judge", classifier)
    features = extractor.features(pictures)
    again = extractor.features(pictures[::-1].copy())
    assert metrics.frechet_distance(again, features) == pytest.approx(0, abs=1e-5)
    assert metrics.kernel_distance(again, features).score < 0  # unbiased: 0 is not its minimum
    # Each lies in its own ball and in those of its five neighbours, of some on the edge: rounding.
    density = pytest.approx(6 / 5, abs=1 / 5)
    assert metrics.manifold(again, features) == metrics.Manifold(1, 1, density, 1)
    assert metrics.nearest(again[:3], features)[0] == pytest.approx([0, 0, 0], abs=1e-5)
    noise = np.random.default_rng(1).integers(0, 256, pictures.shape).astype(np.uint8)
    far = extractor.features(noise)
    assert metrics.frechet_distance(far, features) > 1
    assert metrics.kernel_distance(far, features).score > 0


def test_only_uint8_pictures_are_taken(
    classifier: AttributeClassifier, pictures: np.ndarray
) -> None:
    extractor = load_extractor("judge", classifier)
    for wrong in (pictures / 255.0, pictures[0], pictures.transpose(0, 3, 1, 2)):
        with pytest.raises(ValueError, match="pictures are uint8"):
            extractor.features(wrong)


class Stub(nn.Module):
    """As large as Inception and with its interface: one convolution with a huge kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 2048, 58, stride=241), nn.AdaptiveAvgPool2d(1))

    def forward(self, x: Tensor, return_features: bool = False) -> Tensor:
        return self.layers(x)


@pytest.fixture(scope="module")
def inception(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Stub]:
    path = tmp_path_factory.mktemp("inception") / INCEPTION_FILE
    with torch.random.fork_rng():
        torch.manual_seed(1)
        stub = Stub().eval()
    torch.jit.script(stub).save(path)
    return path, stub


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_inception_sees_what_clean_fid_defines(
    inception: tuple[Path, Stub],
    classifier: AttributeClassifier,
    pictures: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path, stub = inception
    extractor = load_extractor(f"inception:{path}", classifier)
    assert (extractor.frechet, extractor.kernel) == ("fid", "kid")
    assert extractor.weights == sha256(path)
    found = extractor.features(pictures[:3])
    # each channel resized by PIL as floats, bicubic, cut to [0, 255], then (x - 128) / 128
    channels = pictures[:3].transpose(0, 3, 1, 2).astype(np.float32)
    resized = [
        [np.asarray(Image.fromarray(c).resize((299, 299), Image.Resampling.BICUBIC)) for c in image]
        for image in channels
    ]
    network = (torch.tensor(np.array(resized)).clamp(0, 255) - 128) / 128
    with torch.inference_mode():
        expected = stub(network).flatten(1).numpy()
    assert found.shape == (3, 2048)
    assert np.allclose(found, expected, atol=1e-4)
    # its folder will do, and so will the place where clean-fid keeps its download
    assert load_extractor(f"inception:{path.parent}", classifier).weights == extractor.weights
    monkeypatch.setattr(tempfile, "tempdir", str(path.parent))
    assert load_extractor("inception:", classifier).weights == extractor.weights


def test_what_is_not_inception_is_no_fid(
    classifier: AttributeClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="no such file"):
        load_extractor(f"inception:{tmp_path}", classifier)
    small = tmp_path / INCEPTION_FILE
    small.write_bytes(b"too little")
    with pytest.raises(UserError, match="not clean-fid's Inception"):
        load_extractor(f"inception:{small}", classifier)
    with small.open("r+b") as file:
        file.truncate(90_000_000)  # zeros
    with pytest.raises(UserError, match=f"{INCEPTION_FILE}: its weights cannot be read"):
        load_extractor(f"inception:{small}", classifier)
    small.rename(tmp_path / "other.pt")
    with pytest.raises(UserError, match="not clean-fid's Inception"):
        load_extractor(f"inception:{tmp_path / 'other.pt'}", classifier)
    # a download that fails leaves nothing behind
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(UserError, match="could not be downloaded"):
        load_extractor("inception", classifier)
    assert [file.name for file in tmp_path.iterdir()] == ["other.pt"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("jugde", "Did you mean 'judge'"),
        ("incepton:x", "Did you mean 'inception'"),
        ("judge:x", "Write 'judge' alone"),
        ("timm:resnet18", "needs a model and its file"),
    ],
)
def test_unknown_words_are_user_errors(
    spec: str, message: str, classifier: AttributeClassifier
) -> None:
    with pytest.raises(UserError, match=message):
        load_extractor(spec, classifier)


def test_without_timm_the_user_learns_how_to_get_it(
    classifier: AttributeClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UserError, match=r"not installed. Run: pip install 'facecond\[metrics\]'"):
        load_extractor(f"timm:{TINY}:weights.pth", classifier)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, nn.Module]:
    """A small ViT of timm with random weights, and their file."""
    timm = pytest.importorskip("timm", reason="timm (extra 'metrics') is not installed")
    path = tmp_path_factory.mktemp("timm") / "weights.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(2)
        model = timm.create_model(TINY, pretrained=False).eval()
    save_file(model.state_dict(), path)
    return path, model


def test_timm_features_are_those_before_its_head(
    tiny: tuple[Path, nn.Module],
    classifier: AttributeClassifier,
    pictures: np.ndarray,
    tmp_path: Path,
) -> None:
    path, model = tiny
    extractor = load_extractor(f"timm:{TINY}:{path}", classifier)
    assert (extractor.frechet, extractor.kernel) == (f"fd_{TINY}", f"kd_{TINY}")
    assert extractor.weights == sha256(path)
    found = extractor.features(pictures)
    with torch.inference_mode():
        logits = model(extractor.prepare(pictures))
        assert torch.allclose(model.head(torch.from_numpy(found)), logits, atol=1e-4)
    alone = np.concatenate([extractor.features(picture[None]) for picture in pictures[:5]])
    assert np.allclose(found[:5], alone, atol=1e-4)
    torch.save({"model": model.state_dict()}, tmp_path / "weights.pth")
    same = load_extractor(f"timm:{TINY}:{tmp_path / 'weights.pth'}", classifier)
    assert np.array_equal(same.features(pictures), found)


def test_timm_models_see_their_own_size_and_scale(
    tiny: tuple[Path, nn.Module], classifier: AttributeClassifier, pictures: np.ndarray
) -> None:
    extractor = load_extractor(f"timm:{TINY}@64:{tiny[0]}", classifier)
    assert extractor.frechet == f"fd_{TINY}_64"
    large = np.stack([np.asarray(Image.fromarray(p).resize((160, 160))) for p in pictures[:4]])
    assert extractor.features(large).shape[1] == 64
    seen = extractor.prepare(large)
    config = tiny[1].pretrained_cfg
    mean, std = (torch.tensor(config[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    levels = (seen * std + mean) * 255
    # antialiased: what PIL makes of it, but for rounding to whole levels
    by_pil = [np.asarray(Image.fromarray(p).resize((64, 64), Image.BICUBIC)) for p in large]
    assert torch.allclose(
        levels, torch.tensor(np.stack(by_pil)).permute(0, 3, 1, 2).float(), atol=1.5
    )
    assert levels.min() >= -1e-3 and levels.max() <= 255 + 1e-3
    exact = extractor.prepare(large[:, :64, :64])
    assert torch.allclose(
        (exact * std + mean) * 255,
        torch.tensor(large[:, :64, :64]).permute(0, 3, 1, 2).float(),
        atol=1e-3,
    )


def test_timm_models_without_positions_take_any_size(
    classifier: AttributeClassifier, pictures: np.ndarray, tmp_path: Path
) -> None:
    timm = pytest.importorskip("timm", reason="timm (extra 'metrics') is not installed")
    model = timm.create_model("test_convnext", pretrained=False)
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    spec = f"timm:test_convnext@64:{tmp_path / 'weights.safetensors'}"
    extractor = load_extractor(spec, classifier)
    assert extractor.prepare(pictures[:2]).shape == (2, 3, 64, 64)
    assert extractor.features(pictures[:2]).shape == (2, 64)


def test_files_that_are_not_of_that_model_are_user_errors(
    tiny: tuple[Path, nn.Module], classifier: AttributeClassifier, tmp_path: Path
) -> None:
    path, model = tiny
    with pytest.raises(UserError, match="Did you mean 'test_vit'"):
        load_extractor(f"timm:tets_vit:{path}", classifier)
    with pytest.raises(UserError, match=r"timm.list_models\(\) names them"):
        load_extractor(f"timm:qqqqqqqqqq:{path}", classifier)
    with pytest.raises(UserError, match="'big' is no side in pixels"):
        load_extractor(f"timm:{TINY}@big:{path}", classifier)
    with pytest.raises(UserError, match="no such file"):
        load_extractor(f"timm:{TINY}:{path}.gone", classifier)
    with pytest.raises(UserError, match=r"weights.safetensors: its weights cannot be read"):
        load_extractor(f"timm:test_resnet:{path}", classifier)
    partial = {key: value for key, value in model.state_dict().items() if "blocks.1" not in key}
    save_file(partial, tmp_path / "partial.safetensors")
    with pytest.raises(UserError, match="cannot be read"):
        load_extractor(f"timm:{TINY}:{tmp_path / 'partial.safetensors'}", classifier)
    (tmp_path / "broken.pth").write_bytes(b"nothing")
    with pytest.raises(UserError, match="cannot be read"):
        load_extractor(f"timm:{TINY}:{tmp_path / 'broken.pth'}", classifier)
