"""What the judges see in pictures, and which weights they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facecond.models.judges import AttributeClassifier, FaceParser, load_classifier, load_parser
from facecond.models.weights_hash import weights_hash
from facecond.storage import read_json

JUDGE_BATCH = 64
KINDS = ("parser", "attributes")
"""Subfolders of a folder of judges."""


@dataclass
class Judges:
    """A face parser and an attribute classifier that score together.

    Attributes:
        name: how tables call them: the folder that they were read from.
        scores: kind -> content of the judge's own `scores.json`; empty where there is none.
    """

    parser: FaceParser
    classifier: AttributeClassifier
    name: str = "judges"
    scores: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: str | Path, device: str | torch.device = "cpu") -> Judges:
        """Read `folder/parser` and `folder/attributes`; raises `UserError` where one is unfit."""
        folder = Path(folder)
        files = {kind: folder / kind / "scores.json" for kind in KINDS}
        scores = {kind: read_json(file) for kind, file in files.items() if file.is_file()}
        parser, classifier = load_parser(folder / "parser"), load_classifier(folder / "attributes")
        parser.to(device), classifier.to(device)
        return cls(parser, classifier, str(folder), scores)

    def hashes(self) -> dict[str, str]:
        """Kind -> hash of the weights."""
        return {
            "parser": weights_hash(self.parser),
            "attributes": weights_hash(self.classifier),
        }


@dataclass
class Verdict:
    """What the judges see: masks uint8 [B, S, S], attributes present bool [B, 40], features of the
    classifier float32 [B, D]."""

    masks: np.ndarray
    present: np.ndarray
    features: np.ndarray


@torch.inference_mode()
def look(judges: Judges, images: np.ndarray) -> Verdict:
    """The verdict on pictures uint8 [B, S, S, 3]."""
    classifier = judges.classifier
    pixels = to_network(images, classifier.device)  # [B, 3, S, S]
    answers = [classifier.judge(part) for part in pixels.split(JUDGE_BATCH)]
    present, features = (torch.cat(parts).cpu().numpy() for parts in zip(*answers, strict=True))
    return Verdict(parse(judges, images), present, features)


@torch.inference_mode()
def parse(judges: Judges, images: np.ndarray) -> np.ndarray:
    """The parser's masks of pictures uint8 [B, S, S, 3], uint8 [B, S, S]."""
    pixels = to_network(images, judges.parser.device)  # [B, 3, S, S]
    masks = torch.cat([judges.parser(part).argmax(1) for part in pixels.split(JUDGE_BATCH)])
    return masks.to(torch.uint8).cpu().numpy()


@torch.inference_mode()
def probabilities(judges: Judges, images: np.ndarray) -> np.ndarray:
    """Probability of each attribute in pictures uint8 [B, S, S, 3], float32 [B, 40]: 0.5 lies at
    the threshold above which the classifier says "present"."""
    classifier = judges.classifier
    pixels = to_network(images, classifier.device)  # [B, 3, S, S]
    logits = torch.cat([classifier(part).float() for part in pixels.split(JUDGE_BATCH)])
    thresholds = torch.tensor(classifier.config["thresholds"], device=logits.device)  # [40]
    return torch.sigmoid(logits - thresholds).cpu().numpy()


@torch.inference_mode()
def judge_features(classifier: AttributeClassifier, images: np.ndarray) -> np.ndarray:
    """The classifier's features of pictures uint8 [B, S, S, 3], float32 [B, D]."""
    pixels = to_network(images, classifier.device)  # [B, 3, S, S]
    parts = [classifier.features(part) for part in pixels.split(JUDGE_BATCH)]
    return torch.cat(parts).cpu().numpy()


def to_network(images: np.ndarray, device: str | torch.device) -> Tensor:
    """Pictures uint8 [B, S, S, 3] -> float [B, 3, S, S] in [-1, 1]."""
    tensor = torch.from_numpy(np.ascontiguousarray(images)).to(device)
    return tensor.permute(0, 3, 1, 2).float() / 127.5 - 1  # [B, 3, S, S]
