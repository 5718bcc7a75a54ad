"""Where an autoencoder is found, and which weights are taken."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderDC, AutoencoderKL
from safetensors.torch import load_file, save_file

from facecond.errors import UserError
from facecond.models.autoencoder_files import find_autoencoder, load_weights
from facecond.models.kl_autoencoder import build_kl_autoencoder

NAME = "diffusion_pytorch_model"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "vae"
    options = {"block_out_channels": (8, 8), "norm_num_groups": 4, "layers_per_block": 1}
    build_kl_autoencoder(16, **options).save_pretrained(path)  # type: ignore[arg-type]
    return path


@pytest.fixture
def copy(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "copy"))


def test_a_folder_and_the_part_of_a_pipeline(original: Path, tmp_path: Path) -> None:
    assert find_autoencoder(str(original)) == original
    for part in ("vae", "first_stage"):
        pipeline = tmp_path / part
        shutil.copytree(original, pipeline / part)
        (pipeline / "model_index.json").write_text("{}")
        assert find_autoencoder(str(pipeline)) == pipeline / part


def test_a_snapshot_in_the_cache_needs_no_network(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The layout of the hub's cache, for an id at the top and one with a `vae` part."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    for name, part in (("own", ""), ("pipeline", "vae")):
        root = tmp_path / f"models--somebody--{name}"
        (root / "refs").mkdir(parents=True)
        (root / "refs" / "main").write_text("0" * 40)
        shutil.copytree(original, root / "snapshots" / ("0" * 40) / part)
        assert find_autoencoder(f"somebody/{name}") == root / "snapshots" / ("0" * 40) / part


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("somebody/nothing-like-it", "the hub could not be reached"),
        ("not/an/id", "there is no such folder. Check the path."),
        ("with space", "there is no such folder. Check the path."),
    ],
)
def test_what_is_nowhere_is_one_clear_line(path: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        find_autoencoder(path)
    assert str(caught.value).startswith(f"{path}: no autoencoder found: ")
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_and_an_empty_folder_are_named(original: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="this is a file"):
        find_autoencoder(str(original / f"{NAME}.safetensors"))
    with pytest.raises(UserError, match=r"no config\.json there"):
        find_autoencoder(str(tmp_path))


def test_half_precision_variants_become_float32(copy: Path) -> None:
    whole = load_file(copy / f"{NAME}.safetensors")
    (copy / f"{NAME}.safetensors").unlink()
    half = {key: value.half() for key, value in whole.items()}
    save_file(half, copy / f"{NAME}.fp16.safetensors", {"format": "pt"})
    loaded = load_weights(AutoencoderKL, copy, "here")
    assert isinstance(loaded, AutoencoderKL)
    for key, value in loaded.state_dict().items():
        assert value.dtype == torch.float32 and torch.equal(value, half[key].float()), key


def test_only_safetensors_are_read(copy: Path) -> None:
    weights = load_file(copy / f"{NAME}.safetensors")
    (copy / f"{NAME}.safetensors").unlink()
    torch.save(weights, copy / f"{NAME}.bin")
    with pytest.raises(UserError, match=rf"found: {NAME}\.bin"):
        load_weights(AutoencoderKL, copy, "here")


def test_old_names_of_attention_are_understood_and_gaps_are_not(tmp_path: Path) -> None:
    options = {"block_out_channels": (8,), "norm_num_groups": 4, "layers_per_block": 1}
    build_kl_autoencoder(16, **options).save_pretrained(tmp_path)  # type: ignore[arg-type]
    file = tmp_path / f"{NAME}.safetensors"
    weights = load_file(file)
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    renamed = {}
    for key, value in weights.items():
        for new, before in old.items():
            key = key.replace(f"attentions.0.{new}.", f"attentions.0.{before}.")
        renamed[key] = value
    assert set(renamed) != set(weights)
    save_file(renamed, file, {"format": "pt"})
    loaded = load_weights(AutoencoderKL, tmp_path, "here").state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in weights.items())
    del weights["decoder.conv_out.weight"]
    save_file(weights, file, {"format": "pt"})
    with pytest.raises(
        UserError, match=r"here: its weights lack 1 tensors, such as decoder\.conv_o"
    ):
        load_weights(AutoencoderKL, tmp_path, "here")


def test_weights_with_nan_or_of_another_class_are_refused(copy: Path) -> None:
    with pytest.raises(UserError, match="here: its weights cannot be loaded"):
        load_weights(AutoencoderDC, copy, "here")
    weights = load_file(copy / f"{NAME}.safetensors")
    weights["encoder.conv_in.bias"][0] = float("nan")
    save_file(weights, copy / f"{NAME}.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"encoder\.conv_in\.bias holds NaN"):
        load_weights(AutoencoderKL, copy, "here")
