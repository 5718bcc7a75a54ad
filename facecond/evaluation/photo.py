"""Mask and attributes of somebody's own photo: face found, aligned as the training faces, read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from facecond.data.alignment import cut_square, face_square
from facecond.data.face_finder import FaceFinder, FoundFace
from facecond.errors import UserError
from facecond.evaluation.annotate import MIN_CONFIDENCE
from facecond.evaluation.attribute_check import check_attributes
from facecond.evaluation.inference import resized
from facecond.evaluation.judges import Judge
from facecond.evaluation.label_attributes import TRAIN_ANEW
from facecond.labels import ATTRIBUTES, colour_mask
from facecond.models.judges import AttributeClassifier, FaceParser
from facecond.models.pixels import pictures_to_network

OVERLAY_SHARE = 0.5
"""Weight of the classes' colours over the face."""


@dataclass(frozen=True)
class ParsedFace:
    """A face and its mask.

    Attributes:
        aligned: uint8 [S, S, 3], the crop that the parser read.
        mask: uint8 [S, S], 0..18.
        confidence: mean probability of the class given, over the pixels; as the parser says.
    """

    aligned: np.ndarray
    mask: np.ndarray
    confidence: float


def choose_face(faces: Sequence[FoundFace], choice: str, where: str) -> FoundFace:
    """The face meant by "largest" or by a number counted from the largest, which is 0.

    Raises:
        UserError: there is no face, or none of that number; `where` names the photo.
    """
    if not faces:
        fix = "Give a photo with a face of 60 pixels or more, or a crop with --aligned-already."
        raise UserError("no face found", where, fix)
    number = 0 if choice == "largest" else int(choice)
    if number >= len(faces):
        what = f"there is no face {number}; {len(faces)} found, counted from 0, the largest first"
        raise UserError(what, where, "Give a smaller --face.")
    return faces[number]


def align(photo: np.ndarray, face: FoundFace, size: int) -> np.ndarray:
    """The crop of a face out of a photo uint8 [H, W, 3], as CelebA-HQ shows it, [size, size, 3]."""
    return cut_square(photo, face_square(face.landmarks), size)


def central_square(photo: np.ndarray, size: int) -> np.ndarray:
    """The largest central square of a picture that is aligned already, uint8 [size, size, 3]."""
    height, width = photo.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = Image.fromarray(photo[top : top + side, left : left + side])
    return np.array(square.resize((size, size), Image.Resampling.LANCZOS))


def reference_square(
    photo: np.ndarray, finder: FaceFinder | None, size: int
) -> tuple[np.ndarray, int | None]:
    """What a model sees of a reference: its largest face, aligned; without one, or without a
    finder, the central square.

    Args:
        photo: uint8 [H, W, 3].

    Returns:
        uint8 [size, size, 3], and the number of faces found; None where none was looked for.
    """
    faces = [] if finder is None else finder.find(photo)
    square = align(photo, faces[0], size) if faces else central_square(photo, size)
    return np.array(square), None if finder is None else len(faces)  # may be read-only memory


@torch.inference_mode()
def parse_face(aligned: np.ndarray, parser: Judge[FaceParser]) -> ParsedFace:
    """Read the mask of an aligned face uint8 [S, S, 3]."""
    pixels = pictures_to_network(aligned[None].copy(), parser.model.device)  # [1, 3, S, S]
    size = parser.image_size or len(aligned)
    logits = parser.model(resized(pixels, size)).float()  # [1, 19, S, S]
    sure, mask = resized(logits, len(aligned)).softmax(1).max(1)  # [1, S, S]
    return ParsedFace(aligned, mask[0].to(torch.uint8).cpu().numpy(), float(sure.mean()))


@torch.inference_mode()
def judge_attributes(
    aligned: np.ndarray, judge: Judge[AttributeClassifier], least: float = MIN_CONFIDENCE
) -> np.ndarray:
    """Read the attributes of an aligned face uint8 [S, S, 3].

    Only those that the judge read well enough on its own held-out faces, with a confidence of
    `least` or more; the others stay open.

    Returns:
        int8 [40].

    Raises:
        UserError: the judge does not say how well it reads.
    """
    pixels = pictures_to_network(aligned[None].copy(), judge.model.device)  # [1, 3, S, S]
    logits = judge.model(resized(pixels, judge.image_size or len(aligned))).float().cpu().numpy()
    trained = np.array([name in set(judge.model.config["attributes"]) for name in ATTRIBUTES])
    nothing = np.empty((0, len(ATTRIBUTES)))
    thresholds = np.array(judge.model.config["thresholds"], np.float32)
    try:
        check = check_attributes(
            nothing, nothing.astype(np.int8), thresholds, trained, judge.scores
        )
    except (KeyError, TypeError, ValueError):
        what = "'calibration' is damaged"
        raise UserError(what, judge.path / "scores.json", TRAIN_ANEW) from None
    if not check.used.any():
        what = "no scores.json that tells how often its values are right"
        raise UserError(what, judge.path, TRAIN_ANEW)
    return check.answers(logits, least, np.ones(logits.shape, bool)).values[0]


def overlay(face: ParsedFace) -> np.ndarray:
    """The face with the colours of its classes over it, uint8 [S, S, 3]."""
    mixed = (1 - OVERLAY_SHARE) * face.aligned + OVERLAY_SHARE * colour_mask(face.mask)
    return np.rint(mixed).astype(np.uint8)
