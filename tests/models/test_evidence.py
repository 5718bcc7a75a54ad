"""Evidence encoders: what they see, that they survive saving, and what they find strange."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from facecond.errors import UserError
from facecond.models.evidence import EvidenceEncoder, _averaged, load_evidence
from facecond.models.judges import AttributeClassifier

LATENTS = (3, 8, 8)


def pictures(count: int = 2, size: int = 32) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("classifier")
    torch.manual_seed(0)
    AttributeClassifier(width=4, image_size=32, feature_size=8).eval().save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def timm_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("timm") / "vit.safetensors"
    torch.manual_seed(0)
    save_file(timm.create_model("test_vit", num_classes=0).state_dict(), path)
    return path


def test_a_cell_of_latents_is_a_token() -> None:
    encoder = load_evidence("latents", 32, LATENTS, grid=4)
    latents = torch.arange(3 * 64.0).view(1, 3, 8, 8)
    tokens = encoder(pictures(1), latents)
    assert tokens.shape == (1, 16, 12) and tuple(encoder.config.tokens) == (16, 12)
    assert sorted(tokens[0, 5].tolist()) == sorted(latents[0, :, 2:4, 2:4].flatten().tolist())
    assert load_evidence("latents", 32, (3, 4, 4)).config.grid == 4  # no finer than the latents
    with pytest.raises(UserError, match="does not divide"):
        load_evidence("latents", 32, LATENTS, grid=3)


def test_a_classifier_shows_its_features(classifier: Path) -> None:
    encoder = load_evidence(f"classifier:{classifier}", 64, LATENTS)
    tokens = encoder(pictures(size=64), torch.zeros(2, *LATENTS))
    assert tokens.shape == (2, 16, 16)  # 32 px at stride 8
    torch.testing.assert_close(tokens.mean(-1), torch.zeros(2, 16), atol=1e-5, rtol=0)
    assert len(encoder.config.weights) == 64


def test_a_timm_model_shows_its_patches(timm_file: Path) -> None:
    encoder = load_evidence(f"timm:test_vit:{timm_file}", 32, LATENTS, grid=16)
    assert tuple(encoder.config.tokens) == (100, 64)  # 160 px in patches of 16, no class token
    assert encoder(pictures(), torch.zeros(2, *LATENTS)).shape == (2, 100, 64)


def test_a_fine_map_is_averaged_to_the_grid(classifier: Path, timm_file: Path) -> None:
    for spec, size in ((f"timm:test_vit:{timm_file}", 160), (f"classifier:{classifier}", 32)):
        whole, coarse = (load_evidence(spec, size, LATENTS, grid=grid) for grid in (16, 2))
        assert coarse.config.tokens[0] == 4 and whole.config.pooled == 16
        before = {k: v for k, v in whole.config.items() if k != "pooled" and k[0] != "_"}
        assert EvidenceEncoder.from_config(before).config.pooled == 0  # models of earlier versions
        assert coarse(pictures(size=size), torch.zeros(2, *LATENTS)).shape[1] == 4
    plain = torch.arange(16.0).view(1, 16, 1)
    assert _averaged(plain, 2).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]
    assert torch.equal(_averaged(plain, 0), _averaged(plain, 4))


@pytest.mark.parametrize("kind", ["latents", "classifier", "timm"])
def test_an_encoder_is_saved_whole(
    kind: str, classifier: Path, timm_file: Path, tmp_path: Path
) -> None:
    spec = {"classifier": f"classifier:{classifier}", "timm": f"timm:test_vit:{timm_file}"}
    encoder = load_evidence(spec.get(kind, kind), 32, LATENTS)
    latents = torch.randn(2, *LATENTS, generator=torch.Generator().manual_seed(1))
    seen = encoder(pictures(), latents)
    encoder.measure(seen.numpy())
    encoder.save_pretrained(tmp_path)
    again = EvidenceEncoder.from_pretrained(tmp_path).eval()
    assert torch.equal(again(pictures(), latents), seen)
    assert torch.equal(again.mean, encoder.mean) and again.limit == encoder.limit


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["latents", "classifier", "timm"])
def test_an_encoder_of_half_precision_reads_pictures(
    kind: str, dtype: torch.dtype, classifier: Path, timm_file: Path
) -> None:
    spec = {"classifier": f"classifier:{classifier}", "timm": f"timm:test_vit:{timm_file}"}
    encoder = load_evidence(spec.get(kind, kind), 32, LATENTS)
    latents = torch.randn(2, *LATENTS, generator=torch.Generator().manual_seed(1))
    seen = encoder(pictures(), latents)
    encoder.measure(seen.numpy())
    half = encoder.to(dtype)(pictures(), latents.to(dtype))
    assert half.dtype == torch.float32
    assert (half - seen).abs().mean() < 0.1 * seen.abs().mean()
    assert torch.isfinite(encoder.distance(half)).all()


def test_what_is_unlike_the_faces_seen_is_told() -> None:
    numbers = np.random.default_rng(0)
    faces = (2 + 0.5 * numbers.standard_normal((500, 16, 12))).astype(np.float32)
    encoder = load_evidence("latents", 32, LATENTS, grid=4)
    assert not (encoder.distance(torch.from_numpy(faces)) > encoder.limit).any()  # not measured
    encoder.measure(faces)
    like = 2 + 0.5 * numbers.standard_normal((100, 16, 12)).astype(np.float32)
    assert not (encoder.distance(torch.from_numpy(like)) > encoder.limit).any()
    blank, noise = np.full((1, 16, 12), 2.0), 3 * numbers.standard_normal((1, 16, 12))
    for strange in (blank, noise):
        seen = torch.from_numpy(strange.astype(np.float32))
        assert bool(encoder.distance(seen) > encoder.limit)


def test_many_faces_are_measured_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    faces = np.random.default_rng(0).standard_normal((300, 16, 12)).astype(np.float16)
    encoder = load_evidence("latents", 32, LATENTS, grid=4)
    largest, distance = [0], encoder.distance

    def watched(evidence: torch.Tensor) -> torch.Tensor:
        largest[0] = max(largest[0], len(evidence))
        return distance(evidence)

    monkeypatch.setattr(encoder, "distance", watched)
    encoder.measure(faces)
    assert largest[0] <= 64
    whole = torch.from_numpy(faces.astype(np.float32))
    torch.testing.assert_close(encoder.mean, whole.mean(0))
    torch.testing.assert_close(encoder.std, whole.std(0))
    limit = 1.1 * torch.quantile(distance(whole), 0.999)
    torch.testing.assert_close(encoder.limit, limit)


def test_one_face_tells_nothing_of_others() -> None:
    encoder = load_evidence("latents", 32, LATENTS, grid=4)
    encoder.measure(np.ones((1, 16, 12), np.float16))
    assert torch.isfinite(encoder.std).all() and torch.isinf(encoder.limit)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("latent", "Did you mean 'latents'"),
        ("classifier", "Write latents, classifier:PATH"),
        ("classifier:nowhere", "nowhere"),
        ("timm:no_such_model", "no model"),
        ("timm:test_vit:nowhere.safetensors", "no such file"),
    ],
)
def test_faults_of_a_spec_are_told(spec: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_evidence(spec, 32, LATENTS)
