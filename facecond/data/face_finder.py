"""Faces in a photo with their eyes and mouth: OpenCV's `FaceDetectorYN` (YuNet, Wu et al. 2023).

OpenCV brings the code and not the weights: one file of 230 kB, given by path.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from facecond.data.alignment import Landmarks, cut_square, face_square, square_to_crop
from facecond.errors import UserError

WEIGHTS = "face_detection_yunet_2023mar.onnx"
SOURCE = "https://github.com/opencv/opencv_zoo/tree/main/models/face_detection_yunet"
LEAST_SCORE = 0.6
SIDES = (640, 1280)
"""Longer sides that a photo is looked at in: YuNet knows faces of about 10 to 300 pixels. The
second is for small faces, where the first shows none."""
CLOSE_LOOK = 384
"""Size of the upright crop in which the landmarks are measured once more."""


@dataclass(frozen=True)
class FoundFace:
    """A face in a photo.

    Attributes:
        box: (x, y, width, height) in pixels.
        landmarks: eyes and corners of the mouth.
        score: 0..1, how sure the detector is.
    """

    box: tuple[float, float, float, float]
    landmarks: Landmarks
    score: float


class FaceFinder:
    """Finds faces.

    Args:
        net: `cv2.FaceDetectorYN`, or what has its `setInputSize` and `detect`; see `load_finder`.
    """

    def __init__(self, net: Any) -> None:
        self._net = net

    def find(self, photo: np.ndarray) -> list[FoundFace]:
        """Faces of a photo uint8 [H, W, 3], the largest first."""
        scales = sorted({min(side / max(photo.shape[:2]), 1.0) for side in SIDES})
        found = next(filter(None, (self._look(photo, scale) for scale in scales)), [])
        found = [self._closer(photo, face) for face in found]
        return sorted(found, key=lambda face: -face.box[2] * face.box[3])

    def _look(self, photo: np.ndarray, scale: float = 1.0) -> list[FoundFace]:
        height, width = (max(round(side * scale), 1) for side in photo.shape[:2])
        seen = photo
        if (height, width) != photo.shape[:2]:
            seen = cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA)
        self._net.setInputSize((width, height))
        rows = self._net.detect(cv2.cvtColor(seen, cv2.COLOR_RGB2BGR))[1]
        stretch = np.array([photo.shape[1] / width, photo.shape[0] / height])
        faces = []
        for row in np.empty((0, 15)) if rows is None else rows.astype(float):
            box = np.concatenate([row[:2] * stretch, row[2:4] * stretch])
            # The subject's right eye comes first: the left one in the picture.
            points = row[4:14].reshape(5, 2) * stretch
            landmarks = Landmarks(points[0], points[1], points[3], points[4])
            faces.append(FoundFace(tuple(box), landmarks, float(row[14])))
        return faces

    def _closer(self, photo: np.ndarray, face: FoundFace) -> FoundFace:
        """Measure the landmarks again on the upright face and on its mirror image, and average.

        YuNet's landmarks lean when the face does: on faces turned by 20 degrees this brings the
        error of the angle from 11 degrees to 3.
        """
        square = face_square(face.landmarks)
        crop = cut_square(photo, square, CLOSE_LOOK)
        back = cv2.invertAffineTransform(square_to_crop(square, CLOSE_LOOK))
        seen = []
        if (plain := _central(self._look(crop))) is not None:
            seen.append(plain.moved(back))
        if (mirrored := _central(self._look(np.ascontiguousarray(crop[:, ::-1])))) is not None:
            seen.append(mirrored.mirrored(CLOSE_LOOK).moved(back))
        if not seen:
            return face
        return FoundFace(face.box, Landmarks(*np.mean([one.points for one in seen], 0)), face.score)


def load_finder(weights: str | Path) -> FaceFinder:
    """The finder with YuNet's weights, an ONNX file.

    Raises:
        UserError: the file is missing, or OpenCV cannot use it as YuNet.
    """
    if not Path(weights).is_file():
        raise UserError("no such file", weights, f"Get {WEIGHTS} from {SOURCE}.")
    _quiet()
    try:
        finder = FaceFinder(cv2.FaceDetectorYN.create(str(weights), "", (320, 320), LEAST_SCORE))
        finder.find(np.zeros((320, 320, 3), np.uint8))  # another network fails here
    except cv2.error as error:
        reason = " ".join(str(error).split())[:160]
        fix = f"Get {WEIGHTS} from {SOURCE} (230 kB; a file of 130 bytes is a Git LFS pointer)."
        raise UserError(f"OpenCV cannot use it ({reason})", weights, fix) from None
    return finder


def _central(faces: list[FoundFace]) -> Landmarks | None:
    """Landmarks of the face nearest to the middle of the close look, or None without faces."""
    middle = np.full(2, CLOSE_LOOK / 2)
    marks = [face.landmarks for face in faces]
    return min(marks, key=lambda one: np.hypot(*(one.points.mean(0) - middle)), default=None)


def _quiet() -> None:
    """OpenCV 5 warns on standard error about a setting of its own; errors stay."""
    if hasattr(cv2, "utils") and hasattr(cv2.utils, "logging"):
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    elif hasattr(cv2, "setLogLevel"):
        cv2.setLogLevel(2)
