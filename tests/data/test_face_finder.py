"""Faces found: a detector of drawn dots, whose truth is known, and YuNet itself where it is."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from facecond.data.alignment import Landmarks, face_square
from facecond.data.face_finder import FaceFinder, load_finder
from facecond.data.rendered import render
from facecond.errors import UserError

LEAN = 0.12
"""How far, in its turned angle, the dots' detector errs on a leaning face, as YuNet does."""


class DotDetector:
    """Finds red discs (eyes, mouth corners) and answers as `cv2.FaceDetectorYN` does.

    Faces stand apart: each four discs within a green disc are one face. Landmarks of a leaning
    face are turned too far, by `LEAN` of its angle.
    """

    def __init__(self) -> None:
        self.sizes: list[tuple[int, int]] = []

    def setInputSize(self, size: tuple[int, int]) -> None:
        self.sizes.append(size)

    def detect(self, picture: np.ndarray) -> tuple[int, np.ndarray | None]:
        assert picture.shape[1::-1] == self.sizes[-1]
        green, red = picture[..., 1] > 128, picture[..., 2] > 128
        count, labels = cv2.connectedComponents((green | red).astype(np.uint8))
        rows = []
        for k in range(1, count):
            inside = labels == k
            dots, _, _, centres = cv2.connectedComponentsWithStats((inside & red).astype(np.uint8))
            if dots != 5:
                continue
            ys, xs = np.nonzero(inside)
            points = centres[1:] + 0.5
            order = np.argsort(points[:, 1])
            eyes, mouth = points[order[:2]], points[order[2:]]
            eyes, mouth = eyes[np.argsort(eyes[:, 0])], mouth[np.argsort(mouth[:, 0])]
            four = np.concatenate([eyes, mouth])
            across = eyes[1] - eyes[0]
            turn = LEAN * np.arctan2(across[1], across[0])
            c, s = np.cos(turn), np.sin(turn)
            middle = four.mean(0)
            four = (four - middle) @ np.array([[c, s], [-s, c]]) + middle
            box = [xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1]
            five = [*four[0], *four[1], *middle, *four[2], *four[3]]
            rows.append([*box, *five, 0.9])
        return (1, np.array(rows, np.float32)) if rows else (1, None)


def draw(canvas: np.ndarray, centre: tuple[float, float], radius: float, angle: float) -> Landmarks:
    """Draw a green face with red eyes and mouth corners (RGB); returns where they are."""
    matrix = cv2.getRotationMatrix2D((0, 0), angle, radius)
    matrix[:, 2] += centre
    upright = Landmarks(*np.array([(-0.4, -0.3), (0.4, -0.3), (-0.3, 0.4), (0.3, 0.4)]))
    marks = upright.moved(matrix)
    cv2.circle(canvas, [round(c - 0.5) for c in centre], round(radius), (0, 255, 0), -1)
    for point in marks.points:
        cv2.circle(
            canvas, [round(c - 0.5) for c in point], max(round(radius / 12), 2), (255, 0, 0), -1
        )
    return marks


def test_landmarks_come_back_in_the_pixels_of_the_photo() -> None:
    photo = np.zeros((1200, 2000, 3), np.uint8)
    truth = draw(photo, (1200, 500), 240, 0)
    net = DotDetector()
    (found,) = FaceFinder(net).find(photo)
    assert net.sizes[0] == (640, 384)  # looked at in reduced size
    np.testing.assert_allclose(found.landmarks.points, truth.points, atol=4)
    assert found.landmarks.left_eye[0] < found.landmarks.right_eye[0]
    assert found.score == pytest.approx(0.9)
    np.testing.assert_allclose(found.box, (960, 260, 480, 480), atol=8)


@pytest.mark.parametrize("angle", [-25.0, 25.0])
def test_a_second_look_rights_a_leaning_face(angle: float) -> None:
    photo = np.zeros((500, 600, 3), np.uint8)
    truth = face_square(draw(photo, (310, 240), 110, angle))
    net = DotDetector()
    raw = net.setInputSize((600, 500)) or net.detect(photo[..., ::-1])[1][0]
    once = face_square(Landmarks(*raw[[4, 5, 6, 7, 10, 11, 12, 13]].reshape(4, 2).astype(float)))
    (found,) = FaceFinder(net).find(photo)
    error = np.abs(face_square(found.landmarks) - truth).max()
    assert error < 6 and error < 0.5 * np.abs(once - truth).max()


def test_faces_come_largest_first() -> None:
    photo = np.zeros((400, 600, 3), np.uint8)
    small, large = draw(photo, (120, 200), 60, 0), draw(photo, (400, 200), 110, 0)
    found = FaceFinder(DotDetector()).find(photo)
    assert len(found) == 2
    np.testing.assert_allclose(found[0].landmarks.points, large.points, atol=3)
    np.testing.assert_allclose(found[1].landmarks.points, small.points, atol=3)


def test_small_faces_are_looked_for_at_a_larger_size() -> None:
    photo = np.zeros((2560, 2560, 3), np.uint8)
    truth = draw(photo, (1800, 700), 24, 0)
    net = DotDetector()
    (found,) = FaceFinder(net).find(photo)
    assert net.sizes[:2] == [(640, 640), (1280, 1280)]
    np.testing.assert_allclose(found.landmarks.points, truth.points, atol=4)


def test_an_empty_photo_has_no_face() -> None:
    net = DotDetector()
    assert FaceFinder(net).find(np.zeros((90, 120, 3), np.uint8)) == []
    assert net.sizes == [(120, 90)]  # never enlarged, so looked at once


def test_a_file_that_is_not_yunet_is_named(tmp_path: Path) -> None:
    pointer = tmp_path / "face.onnx"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 232589\n")
    with pytest.raises(UserError, match=r"face\.onnx: OpenCV cannot use it .*opencv_zoo.*LFS"):
        load_finder(pointer)
    with pytest.raises(UserError, match=r"no such file.*face_detection_yunet_2023mar"):
        load_finder(tmp_path / "nothing.onnx")


def test_yunet_finds_rendered_faces() -> None:
    weights = os.environ.get("FACECOND_YUNET")
    if not weights:
        pytest.skip("FACECOND_YUNET does not name YuNet's weights")
    finder = load_finder(weights)
    middles = []
    for index in range(12):
        found = finder.find(render(0, index, 256).image)
        assert len(found) == 1
        middles.append(face_square(found[0].landmarks).mean(0))
    np.testing.assert_allclose(np.mean(middles, 0), (128, 122), atol=10)
