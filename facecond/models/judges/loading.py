"""Judges from disk: our own folders, and public face parsers by what lies there."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from facecond.errors import UserError, nearest, reason
from facecond.labels import ATTRIBUTES, MASK_CLASSES
from facecond.models.judges.backbones import BACKBONES
from facecond.models.judges.bisenet import load_bisenet
from facecond.models.judges.networks import SMALL, AttributeClassifier, FaceParser
from facecond.models.judges.segformer import load_segformer
from facecond.models.weights_file import read_weights
from facecond.storage import read_json

Judge = TypeVar("Judge", FaceParser, AttributeClassifier)

WEIGHTS = "diffusion_pytorch_model.safetensors"
TENSORS = (".pth", ".pt", ".safetensors")
_AGAIN = "Train the judge again."


def load_parser(path: str | Path) -> FaceParser:
    """Read a face parser.

    Args:
        path: a folder written by `facecond train judge parser`; a state dict of
            face-parsing.PyTorch's BiSeNet (`79999_iter.pth`), or a folder with that file alone; or
            the folder of a transformers Segformer whose `id2label` names our classes.

    Raises:
        UserError: none of these is there, its classes are not ours, or its weights are damaged.
    """
    path = Path(path)
    file = _single_file(path)
    if file is not None and file.name != WEIGHTS:
        return load_bisenet(file)
    if file is not None and file == path:
        raise UserError("this is a file, not a judge's folder", path, "Name the folder it is in.")
    config = _read_config(path, FaceParser, "parser")
    if config.get("model_type") == "segformer":
        return load_segformer(path, config)
    if _names(config, "classes", path) != list(MASK_CLASSES):
        raise UserError(
            "'classes' is another list of mask classes",
            path / "config.json",
            "Train a parser with 'facecond train judge parser'.",
        )
    return _read_weights(path, FaceParser, config)


def load_classifier(folder: str | Path) -> AttributeClassifier:
    """Read a saved classifier; raises `UserError` unless its attributes are known ones and its
    weights sound."""
    folder = Path(folder)
    config = _read_config(folder, AttributeClassifier, "attributes")
    place = folder / "config.json"
    known = _names(config, "attributes", folder)
    for name in known:
        if name not in ATTRIBUTES:
            advice = nearest(name, ATTRIBUTES)
            raise UserError(f"this classifier has an unknown attribute '{name}'", place, advice)
    if [ATTRIBUTES.index(name) for name in known] != sorted(map(ATTRIBUTES.index, known)):
        raise UserError(
            "its 'attributes' are in another order than CelebA's",
            place,
            "Train a classifier with 'facecond train judge attributes'.",
        )
    thresholds = config.get("thresholds")
    found = thresholds if isinstance(thresholds, list) else []
    if [isinstance(t, float | int) for t in found] != [True] * len(ATTRIBUTES):
        raise UserError(
            f"'thresholds' must hold {len(ATTRIBUTES)} numbers",
            place,
            "Train a classifier with 'facecond train judge attributes'.",
        )
    return _read_weights(folder, AttributeClassifier, config)


def weights_file(path: str | Path) -> Path | None:
    """The file with a judge's weights, or None where there is none or more than one."""
    path = Path(path)
    if path.is_dir() and (path / WEIGHTS).is_file():
        return path / WEIGHTS
    if path.is_dir() and (path / "model.safetensors").is_file():  # transformers' name
        return path / "model.safetensors"
    return _single_file(path)


def _single_file(path: Path) -> Path | None:
    """`path` if it is a file; the one file of tensors in a folder without a config."""
    if path.is_file():
        return path
    if not path.is_dir() or (path / "config.json").exists():
        return None
    files = [file for file in path.iterdir() if file.suffix in TENSORS]
    return files[0] if len(files) == 1 else None


def _read_config(folder: Path, kind: type, word: str) -> dict[str, Any]:
    place = folder / "config.json"
    if not place.is_file():
        if weights_file(folder) is not None:
            raise UserError("is missing beside the weights", place, "Copy the whole folder again.")
        advice = f"Train one with 'facecond train judge {word} CONFIG --out DIR'."
        raise UserError(f"no {word} judge here", folder, advice)
    config = read_json(place)
    if not isinstance(config, dict):
        raise UserError("is no config of a judge", place, _AGAIN)
    if kind is FaceParser and config.get("model_type") == "segformer":
        return config
    found = config.get("_class_name", config.get("model_type"))
    if found != kind.__name__:
        advice = f"Give the folder of a judge trained with 'facecond train judge {word}'."
        raise UserError(f"this is a {found}, not a {kind.__name__}", place, advice)
    backbone = config.get("backbone", SMALL)
    if backbone not in (SMALL, *BACKBONES):
        advice = nearest(str(backbone), (SMALL, *BACKBONES))
        raise UserError(f"'backbone' is an unknown '{backbone}'", place, advice)
    return config


def _names(config: dict[str, Any], key: str, folder: Path) -> list[str]:
    value = config.get(key)
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise UserError(f"'{key}' is no list of names", folder / "config.json", _AGAIN)
    return value


def _read_weights(folder: Path, kind: type[Judge], config: dict[str, Any]) -> Judge:
    weights = read_weights(folder / WEIGHTS, _AGAIN)
    if kind is FaceParser and "level1.0.0.weight" in weights:  # saved before there were backbones
        weights = {f"network.{name}": tensor for name, tensor in weights.items()}
    place = folder / "config.json"
    try:
        with torch.random.fork_rng(devices=[]):
            model = kind.from_config(config)
    except Exception as error:  # a config of odd values
        raise UserError(f"makes no network ({reason(error)})", place, _AGAIN) from None
    if (misfit := _misfit(weights, model.state_dict())) is not None:
        raise UserError(f"the weights beside it do not fit: {misfit}", place, _AGAIN)
    model.load_state_dict(weights)
    if not all(torch.isfinite(tensor).all() for tensor in model.state_dict().values()):
        raise UserError("its weights hold NaN or infinite values", folder, _AGAIN)
    return model.eval().requires_grad_(False)


def _misfit(weights: dict[str, Tensor], own: dict[str, Tensor]) -> str | None:
    """The first difference between weights and those of a network, by name and shape."""
    for name, tensor in own.items():
        if name not in weights:
            return f"they lack '{name}'"
        shapes = list(weights[name].shape), list(tensor.shape)
        if shapes[0] != shapes[1]:
            return f"'{name}' has shape {shapes[0]}, and by this config {shapes[1]}"
    surplus = sorted(set(weights) - set(own))
    return f"they hold '{surplus[0]}', which this network has not" if surplus else None
