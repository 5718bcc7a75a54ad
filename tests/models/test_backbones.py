"""Judges on torchvision networks: shapes, weights of others, saving."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import get_model

from facecond.errors import UserError
from facecond.labels import ATTRIBUTES, MASK_CLASSES
from facecond.models.judges import (
    BACKBONES,
    AttributeClassifier,
    FaceParser,
    load_backbone,
    load_classifier,
    load_parser,
)
from facecond.models.judges.backbones import MEAN, STD, STRIDES, Pyramid, imagenet_normalised
from facecond.storage import read_json, write_json


@pytest.mark.parametrize("name", BACKBONES)
def test_the_table_says_what_the_network_gives(name: str) -> None:
    pyramid = Pyramid(name, 2, 8).eval()
    levels = pyramid.backbone(torch.zeros(1, 3, 64, 64)).values()
    assert [level.shape[1] for level in levels] == list(BACKBONES[name].channels)
    assert [64 // level.shape[-1] for level in levels] == list(STRIDES)
    convolutions = [m for m in pyramid.backbone.modules() if isinstance(m, torch.nn.Conv2d)]
    assert BACKBONES[name].depthwise == any(m.groups > 1 for m in convolutions)


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("side", [(64, 64), (72, 104), (512, 512)])
def test_every_pixel_gets_an_answer(name: str, side: tuple[int, int]) -> None:
    with torch.inference_mode():
        logits = FaceParser(width=8, backbone=name).eval()(torch.zeros(1, 3, *side))
        assert logits.shape == (1, len(MASK_CLASSES), *side)
        classifier = AttributeClassifier(width=8, backbone=name).eval()
        assert classifier(torch.zeros(1, 3, *side)).shape == (1, len(ATTRIBUTES))


@pytest.mark.parametrize("name", BACKBONES)
def test_saved_judges_on_backbones_are_bit_equal(tmp_path: Path, name: str) -> None:
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    parser = FaceParser(width=8, image_size=32, backbone=name)
    parser.train()(images)  # moves the running statistics of the norms
    parser.eval().save_pretrained(tmp_path / "parser")
    loaded = load_parser(tmp_path / "parser")
    assert loaded.config["backbone"] == name and torch.equal(loaded(images), parser(images))
    classifier = AttributeClassifier(8, 32, 16, backbone=name).eval()
    classifier.save_pretrained(tmp_path / "attributes")
    assert torch.equal(load_classifier(tmp_path / "attributes")(images), classifier(images))


def test_normalisation_is_imagenets() -> None:
    grey = imagenet_normalised(torch.zeros(1, 3, 2, 2))  # 0.5 of [0, 1]
    expected = [(0.5 - mean) / std for mean, std in zip(MEAN, STD, strict=True)]
    torch.testing.assert_close(grey[0, :, 0, 0], torch.tensor(expected))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_of_torchvision_fill_the_backbone(tmp_path: Path, suffix: str) -> None:
    source = get_model("resnet18", weights=None)
    for tensor in source.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5, generator=torch.Generator().manual_seed(1))
    file = tmp_path / f"resnet18{suffix}"
    if suffix == ".pth":
        torch.save(source.state_dict(), file)
    else:
        save_file(source.state_dict(), file)
    pyramid = Pyramid("resnet18", 8, 8)
    load_backbone(pyramid, "resnet18", file)
    for name, tensor in pyramid.backbone.state_dict().items():
        assert torch.equal(tensor, source.state_dict()[name])
    assert not any(name.startswith("fc") for name in pyramid.backbone.state_dict())


def test_unfit_weights_are_user_errors(tmp_path: Path) -> None:
    pyramid = Pyramid("resnet18", 8, 8)
    file = tmp_path / "weights.pth"
    with pytest.raises(UserError, match=r"weights\.pth: there is no such file.*resnet18"):
        load_backbone(pyramid, "resnet18", file)
    torch.save(get_model("mobilenet_v3_large", weights=None).state_dict(), file)
    with pytest.raises(UserError, match=r"lacks 'conv1\.weight' of the right shape"):
        load_backbone(pyramid, "resnet18", file)
    torch.save([1, 2], file)
    with pytest.raises(UserError, match="no plain list of named tensors"):
        load_backbone(pyramid, "resnet18", file)
    file.write_bytes(b"not weights")
    with pytest.raises(UserError, match="cannot be read"):
        load_backbone(pyramid, "resnet18", file)
    weights = get_model("resnet18", weights=None).state_dict()
    weights["bn1.weight"][0] = float("nan")
    torch.save(weights, file)
    before = {name: tensor.clone() for name, tensor in pyramid.backbone.state_dict().items()}
    with pytest.raises(UserError, match=r"'bn1\.weight' holds NaN"):
        load_backbone(pyramid, "resnet18", file)
    after = pyramid.backbone.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_an_unknown_backbone_is_a_user_error(tmp_path: Path) -> None:
    FaceParser(width=8).save_pretrained(tmp_path)
    config = read_json(tmp_path / "config.json")
    write_json(tmp_path / "config.json", config | {"backbone": "resnet81"})
    with pytest.raises(UserError, match=r"config\.json: 'backbone' .*Did you mean 'resnet18'"):
        load_parser(tmp_path)
