"""The crop of CelebA-HQ from eyes and mouth, in closed form."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from facecond.data.alignment import Landmarks, cut_square, face_square, square_to_crop


def face(*points: tuple[float, float]) -> Landmarks:
    return Landmarks(*np.array(points, float))


UPRIGHT = face((-10, 0), (10, 0), (-7, 20), (7, 20))
"""Eyes 20 apart, the mouth 20 below: 2 eye distances (40) are longer than 1.8 * 20 (36)."""


def test_upright_face_by_hand() -> None:
    # Centre: a tenth of the way from the eyes (0, 0) to the mouth (0, 20).
    corners = [(-40, -38), (-40, 42), (40, 42), (40, -38)]
    np.testing.assert_allclose(face_square(UPRIGHT), corners)


def test_a_long_face_is_measured_from_eyes_to_mouth() -> None:
    long = face((-10, 0), (10, 0), (-7, 40), (7, 40))
    half = 1.8 * 40
    np.testing.assert_allclose(face_square(long)[[0, 2]], [(-half, 4 - half), (half, 4 + half)])


@pytest.mark.parametrize("angle", [-130.0, -20.0, 7.0, 90.0])
def test_the_square_turns_grows_and_moves_with_the_face(angle: float) -> None:
    matrix = cv2.getRotationMatrix2D((3.0, 5.0), angle, 1.7)
    matrix[:, 2] += (31, -8)
    moved = face_square(UPRIGHT.moved(matrix))
    np.testing.assert_allclose(moved, face_square(UPRIGHT) @ matrix[:, :2].T + matrix[:, 2])


def test_a_mirrored_face_has_the_mirrored_square() -> None:
    lopsided = face((10, 12), (31, 14), (14, 35), (27, 33))
    mirrored = face_square(lopsided.mirrored(50))
    expected = (face_square(lopsided) * [-1, 1] + [50, 0])[[3, 2, 1, 0]]
    np.testing.assert_allclose(mirrored, expected)
    np.testing.assert_allclose(lopsided.mirrored(50).mirrored(50).points, lopsided.points)


def test_the_corners_of_the_square_are_those_of_the_crop() -> None:
    square = face_square(UPRIGHT.moved(cv2.getRotationMatrix2D((0, 0), 33.0, 2.0)))
    matrix = square_to_crop(square, 64)
    corners = square @ matrix[:, :2].T + matrix[:, 2]
    np.testing.assert_allclose(corners, [(0, 0), (0, 64), (64, 64), (64, 0)], atol=1e-9)


def test_a_square_on_the_pixels_is_cut_exactly() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    square = np.array([(5, 7), (5, 23), (21, 23), (21, 7)], float)
    np.testing.assert_array_equal(cut_square(picture, square, 16), picture[7:23, 5:21])
    quarter = np.roll(square, 1, axis=0)  # its first corner is the top right one
    turned = np.rot90(picture[7:23, 5:21])
    np.testing.assert_array_equal(cut_square(picture, quarter, 16), turned)


def test_a_large_square_is_averaged() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    whole = np.array([(0, 0), (0, 64), (64, 64), (64, 0)], float)
    blocks = picture.reshape(16, 4, 16, 4, 3).mean((1, 3))
    np.testing.assert_allclose(cut_square(picture, whole, 16), blocks, atol=0.51)


def test_outside_is_the_mirror_image() -> None:
    picture = np.random.default_rng(2).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    beyond = np.array([(-4, 0), (-4, 16), (12, 16), (12, 0)], float)
    crop = cut_square(picture, beyond, 16)
    np.testing.assert_array_equal(crop[:, 4:], picture[:, :12])
    np.testing.assert_array_equal(crop[:, :4], picture[:, 4:0:-1])


def test_a_face_without_extent_is_refused() -> None:
    with pytest.raises(ValueError, match="coincide"):
        face_square(face((1, 1), (1, 1), (1, 1), (1, 1)))
