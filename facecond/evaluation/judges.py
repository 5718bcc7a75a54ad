"""The judges of an evaluation: networks, where they lie, and what they say of themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch

from facecond.models.judges import AttributeClassifier, FaceParser, load_classifier, load_parser
from facecond.models.weights_hash import weights_hash
from facecond.storage import read_json

KINDS = ("parser", "attributes")
"""Subfolders of a folder of judges."""

Network = TypeVar("Network", FaceParser, AttributeClassifier)


@dataclass(frozen=True)
class Judge(Generic[Network]):
    """A judge, where it lies, and what the scores.json beside it says ({} when there is none)."""

    model: Network
    path: Path = Path()
    scores: Mapping[str, Any] = field(default_factory=dict)

    @property
    def image_size(self) -> int:
        """Side of the pictures that the judge reads; 0 when it takes any."""
        return int(self.model.config["image_size"] or 0)

    @cached_property
    def weights(self) -> str:
        """Hash of the weights."""
        return weights_hash(self.model)

    def described(self) -> dict[str, Any]:
        """Path, hash of the weights and own scores, as JSON values."""
        return {"judge": str(self.path), "weights": self.weights, "scores": dict(self.scores)}


def open_parser(path: str | Path, device: str | torch.device = "cpu") -> Judge[FaceParser]:
    """Read a face parser with its scores; raises `UserError` as `load_parser`."""
    model = load_parser(path)
    model.to(device)
    return Judge(model, Path(path), own_scores(path))


def open_classifier(
    path: str | Path, device: str | torch.device = "cpu"
) -> Judge[AttributeClassifier]:
    """Read an attribute classifier with its scores; raises `UserError` as `load_classifier`."""
    model = load_classifier(path)
    model.to(device)
    return Judge(model, Path(path), own_scores(path))


def own_scores(path: str | Path) -> dict[str, Any]:
    """The content of scores.json beside a judge; {} when there is none."""
    file = Path(path) / "scores.json"
    return dict(read_json(file)) if file.is_file() else {}


@dataclass(frozen=True)
class Judges:
    """A face parser and an attribute classifier that score together.

    Attributes:
        name: how tables call them: the folder that they were read from.
    """

    parser: Judge[FaceParser]
    classifier: Judge[AttributeClassifier]
    name: str = "judges"

    @classmethod
    def load(cls, folder: str | Path, device: str | torch.device = "cpu") -> Judges:
        """Read `folder/parser` and `folder/attributes`; raises `UserError` where one is unfit."""
        folder = Path(folder)
        parser = open_parser(folder / "parser", device)
        return cls(parser, open_classifier(folder / "attributes", device), str(folder))

    def of(self, kind: str) -> Judge[Any]:
        """The judge of a kind, one of `KINDS`."""
        return self.parser if kind == "parser" else self.classifier

    def hashes(self) -> dict[str, str]:
        """Kind -> hash of the weights."""
        return {kind: self.of(kind).weights for kind in KINDS}
