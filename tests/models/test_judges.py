"""The judges as networks: shapes, saving, and refusing what is not a judge of ours."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from facecond.errors import UserError
from facecond.labels import ATTRIBUTES, MASK_CLASSES
from facecond.models.judges import AttributeClassifier, FaceParser, load_classifier, load_parser
from facecond.storage import read_json, write_json


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("side", [(32, 32), (64, 40)])
def test_parser_answers_for_every_pixel(side: tuple[int, int]) -> None:
    logits = FaceParser(width=8)(torch.zeros(2, 3, *side))
    assert logits.shape == (2, len(MASK_CLASSES), *side)


def test_parser_refuses_sides_that_do_not_divide() -> None:
    with pytest.raises(ValueError, match="divisible by 8"):
        FaceParser(width=8)(torch.zeros(1, 3, 36, 32))


def test_classifier_features_lead_to_its_logits(images: torch.Tensor) -> None:
    model = AttributeClassifier(width=8, feature_size=24).eval()
    features = model.features(images)
    assert features.shape == (3, 24)
    assert torch.equal(model.head(features), model(images))
    assert model(images).shape == (3, len(ATTRIBUTES))


def test_thresholds_decide_what_is_present(images: torch.Tensor) -> None:
    low = AttributeClassifier(width=8, thresholds=[-1e9] * 39 + [1e9]).eval()
    present, features = low.judge(images)
    assert present[:, :39].all() and not present[:, 39].any()
    assert torch.equal(features, low.features(images))


def test_default_sizes_stay_small() -> None:
    for model in (FaceParser(), AttributeClassifier()):
        assert 4e5 < sum(p.numel() for p in model.parameters()) < 1.2e6


def test_saved_judges_are_bit_equal(tmp_path: Path, images: torch.Tensor) -> None:
    parser = FaceParser(width=8, image_size=32)
    parser.train()(images)  # moves the running statistics of the norms
    parser.eval().save_pretrained(tmp_path / "parser")
    assert torch.equal(load_parser(tmp_path / "parser")(images), parser(images))
    classifier = AttributeClassifier(8, 32, 16, ["Bald", "Male"], [0.25] * 40)
    classifier.eval().save_pretrained(tmp_path / "attributes")
    loaded = load_classifier(tmp_path / "attributes")
    assert torch.equal(loaded(images), classifier(images))
    assert list(loaded.config["attributes"]) == ["Bald", "Male"]
    assert list(loaded.config["thresholds"]) == [0.25] * 40
    assert not list(tmp_path.rglob("*.bin"))


def test_judges_saved_before_there_were_backbones_load(
    tmp_path: Path, images: torch.Tensor
) -> None:
    """Their config names no backbone, and the parser's weights lack the prefix `network.`."""
    parser = FaceParser(width=8, image_size=32).eval()
    classifier = AttributeClassifier(8, 32, 16, ["Bald"]).eval()
    for name, model in (("parser", parser), ("attributes", classifier)):
        model.save_pretrained(tmp_path / name)
        place = tmp_path / name / "config.json"
        config = read_json(place)
        assert config.pop("backbone") == "small"
        write_json(place, config)
    weights = tmp_path / "parser" / "diffusion_pytorch_model.safetensors"
    old = {name.removeprefix("network."): t for name, t in load_file(weights).items()}
    assert "level1.0.0.weight" in old and "head.1.bias" in old
    save_file(old, weights)
    assert torch.equal(load_parser(tmp_path / "parser")(images), parser(images))
    assert torch.equal(load_classifier(tmp_path / "attributes")(images), classifier(images))


def test_loading_leaves_the_random_state_alone(tmp_path: Path) -> None:
    FaceParser(width=8).save_pretrained(tmp_path)
    before = torch.get_rng_state()
    load_parser(tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


def test_wrong_folders_are_user_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no parser judge here"):
        load_parser(tmp_path / "nowhere")
    AttributeClassifier(width=8).save_pretrained(tmp_path / "judge")
    with pytest.raises(UserError, match="AttributeClassifier, not a FaceParser"):
        load_parser(tmp_path / "judge")


def test_another_class_list_is_a_user_error(tmp_path: Path) -> None:
    FaceParser(width=8, classes=["background", "face"]).save_pretrained(tmp_path / "parser")
    with pytest.raises(UserError, match="another list of mask classes"):
        load_parser(tmp_path / "parser")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("attributes", ["Smilling"], "Did you mean 'Smiling'"),
        ("attributes", None, "'attributes' is no list of names"),
        ("thresholds", [0.0], "40 numbers"),
        ("thresholds", 0.5, "40 numbers"),
        ("thresholds", ["0"] * 40, "40 numbers"),
        ("width", "wide", r"config\.json: makes no network"),
    ],
)
def test_a_bad_config_is_a_user_error(
    tmp_path: Path, key: str, value: object, message: str
) -> None:
    AttributeClassifier(width=8).save_pretrained(tmp_path)
    config = read_json(tmp_path / "config.json")
    write_json(tmp_path / "config.json", config | {key: value})
    with pytest.raises(UserError, match=message):
        load_classifier(tmp_path)


def test_weights_of_another_width_are_named_with_both_shapes(tmp_path: Path) -> None:
    AttributeClassifier(width=8).save_pretrained(tmp_path)
    config = read_json(tmp_path / "config.json")
    write_json(tmp_path / "config.json", config | {"width": 16})
    with pytest.raises(UserError) as caught:
        load_classifier(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}/config.json: the weights beside it do not fit: 'trunk.1.0.weight' has shape "
        "[8, 12, 3, 3], and by this config [16, 12, 3, 3]. Train the judge again."
    )


def test_a_folder_whose_config_is_gone_is_told_so(tmp_path: Path) -> None:
    for model, load in (
        (FaceParser(width=8), load_parser),
        (AttributeClassifier(width=8), load_classifier),
    ):
        model.save_pretrained(tmp_path)
        (tmp_path / "config.json").unlink()
        with pytest.raises(UserError, match=r"config\.json: is missing beside the weights"):
            load(tmp_path)
    with pytest.raises(UserError, match=r"not a judge's folder\. Name the folder"):
        load_parser(tmp_path / "diffusion_pytorch_model.safetensors")


def test_damaged_weights_are_user_errors(tmp_path: Path) -> None:
    model = FaceParser(width=8)
    model.save_pretrained(tmp_path)
    weights = next(tmp_path.glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:200])
    with pytest.raises(UserError, match="cannot be read"):
        load_parser(tmp_path)
    weights.unlink()
    with pytest.raises(UserError, match="there is no such file"):
        load_parser(tmp_path)
    model.network.head[1].bias.data[0] = float("nan")
    model.save_pretrained(tmp_path)
    with pytest.raises(UserError, match="NaN"):
        load_parser(tmp_path)
