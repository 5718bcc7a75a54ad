"""A Segformer of transformers as a parser: classes by name, nothing downloaded."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from facecond.errors import UserError
from facecond.labels import MASK_CLASSES
from facecond.models.judges import load_parser
from facecond.storage import read_json, write_json

needs_transformers = pytest.mark.skipif(
    find_spec("transformers") is None, reason="the optional extra 'judges' is not installed"
)
NAMES = [f"{name}.png" if i % 2 else name for i, name in enumerate(reversed(MASK_CLASSES))]
"""Another order than ours; half of the names as some conversions write them."""


def fake_folder(folder: Path, names: list[str]) -> Path:
    """A config without weights: faults of the class list show before transformers is needed."""
    folder.mkdir()
    config = {"model_type": "segformer", "id2label": {str(i): n for i, n in enumerate(names)}}
    write_json(folder / "config.json", config)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    config = SegformerConfig(
        hidden_sizes=[8, 8, 16, 16],
        depths=[1, 1, 1, 1],
        num_attention_heads=[1, 1, 2, 2],
        decoder_hidden_size=16,
        id2label=dict(enumerate(NAMES)),
        label2id={name: i for i, name in enumerate(NAMES)},
    )
    SegformerForSemanticSegmentation(config).save_pretrained(tmp_path / "parser")
    return tmp_path / "parser"


@needs_transformers
def test_logits_are_found_by_name(folder: Path) -> None:
    parser = load_parser(folder)
    images = torch.rand(1, 3, 512, 512) * 2 - 1
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normalised = ((images + 1) / 2 - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    with torch.inference_mode():
        own = parser.network(normalised)
        ours = parser(images)
    assert own.shape == (1, 19, 128, 128) and ours.shape == (1, 19, 512, 512)
    enlarged = torch.nn.functional.interpolate(own, size=(512, 512), mode="bilinear")
    torch.testing.assert_close(ours, enlarged.flip(1))
    assert parser(torch.zeros(2, 3, 48, 64)).shape == (2, 19, 48, 64)
    assert parser.config["image_size"] == 0


@needs_transformers
def test_weights_that_lack_something_are_a_user_error(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    lost = weights.pop("decode_head.classifier.weight")
    assert lost.shape[0] == 19
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"lack 'decode_head\.classifier\.weight'"):
        load_parser(folder)
    (folder / "model.safetensors").write_bytes(b"cut short")
    with pytest.raises(UserError, match="cannot be read"):
        load_parser(folder)


def test_missing_classes_are_named(tmp_path: Path) -> None:
    names = [name for name in MASK_CLASSES if name not in ("hat", "neck_l")]
    with pytest.raises(UserError, match=r"config\.json: 'id2label' lacks hat, neck_l\."):
        load_parser(fake_folder(tmp_path / "fewer", names))
    with pytest.raises(UserError, match="names skin twice"):
        load_parser(fake_folder(tmp_path / "twice", [*MASK_CLASSES, "skin.png"]))
    gaps = fake_folder(tmp_path / "gaps", list(MASK_CLASSES))
    config = read_json(gaps / "config.json")
    config["id2label"]["40"] = "moustache"
    write_json(gaps / "config.json", config)
    with pytest.raises(UserError, match="'id2label' is missing or has gaps"):
        load_parser(gaps)


@pytest.mark.skipif(find_spec("transformers") is not None, reason="transformers is installed")
def test_without_transformers_the_extra_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"pip install 'facecond\[judges\]'"):
        load_parser(fake_folder(tmp_path / "parser", list(MASK_CLASSES)))
