"""What judges see in pictures uint8 [B, S, S, 3]."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from facecond.evaluation.judges import Judges
from facecond.models.judges import AttributeClassifier, FaceParser
from facecond.models.pixels import pictures_to_network

JUDGE_BATCH = 64


@dataclass
class Verdict:
    """What the judges see: masks uint8 [B, S, S], attributes present bool [B, 40], features of the
    classifier float32 [B, D]."""

    masks: np.ndarray
    present: np.ndarray
    features: np.ndarray


def judge_images(judges: Judges, images: np.ndarray) -> Verdict:
    """The verdict of parser and classifier."""
    present, features = judge_attributes(judges.classifier.model, images)
    return Verdict(parse(judges.parser.model, images), present, features)


@torch.inference_mode()
def judge_attributes(
    classifier: AttributeClassifier, images: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Attributes present bool [B, 40], and features float32 [B, D]."""
    pixels = pictures_to_network(images, classifier.device)  # [B, 3, S, S]
    answers = [classifier.judge(part) for part in pixels.split(JUDGE_BATCH)]
    present, features = (torch.cat(parts) for parts in zip(*answers, strict=True))
    return present.cpu().numpy(), features.float().cpu().numpy()


@torch.inference_mode()
def parse(parser: FaceParser, images: np.ndarray) -> np.ndarray:
    """The parser's masks, uint8 [B, S, S]."""
    pixels = pictures_to_network(images, parser.device)  # [B, 3, S, S]
    masks = torch.cat([parser(part).argmax(1) for part in pixels.split(JUDGE_BATCH)])
    return masks.to(torch.uint8).cpu().numpy()


@torch.inference_mode()
def probabilities(classifier: AttributeClassifier, images: np.ndarray) -> np.ndarray:
    """Probability of each attribute, float32 [B, 40]: 0.5 lies at the threshold above which the
    classifier says "present"."""
    pixels = pictures_to_network(images, classifier.device)  # [B, 3, S, S]
    logits = torch.cat([classifier(part).float() for part in pixels.split(JUDGE_BATCH)])
    thresholds = torch.tensor(classifier.config["thresholds"], device=logits.device)  # [40]
    return torch.sigmoid(logits - thresholds).cpu().numpy()


@torch.inference_mode()
def judge_features(classifier: AttributeClassifier, images: np.ndarray) -> np.ndarray:
    """The classifier's features, float32 [B, D]."""
    pixels = pictures_to_network(images, classifier.device)  # [B, 3, S, S]
    parts = [classifier.features(part) for part in pixels.split(JUDGE_BATCH)]
    return torch.cat(parts).cpu().numpy()
