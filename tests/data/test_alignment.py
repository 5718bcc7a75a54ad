"""The crop of CelebA-HQ from eyes and mouth, in closed form."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from facecond.data.alignment import (
    Landmarks,
    central_corners,
    cut_square,
    face_square,
    paste_change,
    square_to_crop,
)


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


def smooth_change(size: int) -> np.ndarray:
    """Grey levels that rise and fall in the middle of a crop, float32 [size, size, 3]."""
    ramp = np.sin(np.linspace(0, np.pi, size // 2)) ** 2
    change = np.zeros((size, size, 3), np.float32)
    change[size // 4 : 3 * size // 4, size // 4 : 3 * size // 4, 0] = 60 * np.outer(ramp, ramp)
    return change


@pytest.mark.parametrize("scale", [0.7, 1.0, 2.5], ids=["shrunk", "as it was", "enlarged"])
def test_a_change_comes_back_where_its_crop_was_cut(scale: float) -> None:
    turn = cv2.getRotationMatrix2D((0, 0), 27.0, scale)
    turn[:, 2] += (150, 130)
    square = face_square(UPRIGHT.moved(turn))
    picture = np.full((260, 300, 3), 90, np.uint8)
    change = smooth_change(80)
    pasted = paste_change(picture, change, square, 0.05)
    again = cut_square(pasted, square, 80) - cut_square(picture, square, 80).astype(np.float32)
    assert np.abs(again - change).max() < 3 and again.max() > 50


def test_a_change_leaves_everything_else_bit_for_bit() -> None:
    picture = np.random.default_rng(3).integers(0, 256, (200, 230, 3), dtype=np.uint8)
    turn = cv2.getRotationMatrix2D((0, 0), -15.0, 1.2)
    turn[:, 2] += (110, 100)
    square = face_square(UPRIGHT.moved(turn))
    change = smooth_change(32)
    pasted = paste_change(picture, change, square, 0.05)
    reached = cv2.dilate(change.any(-1).astype(np.uint8), np.ones((5, 5), np.uint8))
    flags = cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR
    there = cv2.warpAffine(reached, square_to_crop(square, 32), (230, 200), flags=flags) > 0
    there = cv2.dilate(there.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0  # half a pixel
    assert 0 < there.mean() < 0.5 and (pasted != picture)[there].any()
    np.testing.assert_array_equal(pasted[~there], picture[~there])
    np.testing.assert_array_equal(pasted[..., 1:], picture[..., 1:])
    np.testing.assert_array_equal(paste_change(picture, 0 * change, square, 0.05), picture)


def test_the_whole_of_an_aligned_picture_is_changed_as_it_is() -> None:
    picture = np.random.default_rng(4).integers(50, 200, (16, 16, 3), dtype=np.uint8)
    change = np.random.default_rng(5).integers(-50, 50, (16, 16, 3)).astype(np.float32)
    pasted = paste_change(picture, change, central_corners(16, 16), 0.05)
    np.testing.assert_array_equal(pasted, picture + change)


def test_a_change_ends_softly_where_the_square_ends_within_the_picture() -> None:
    picture = np.full((40, 100, 3), 100, np.uint8)
    change = np.full((20, 20, 3), 80, np.float32)
    pasted = paste_change(picture, change, central_corners(40, 100), 0.1)[..., 0].astype(int)
    assert (pasted[:, 36:64] == 180).all()  # to the upper and lower edge, which are the picture's
    assert (pasted[:, :30] == 100).all() and (pasted[:, 70:] == 100).all()
    assert (np.abs(np.diff(pasted, axis=1)) < 40).all() and (pasted == pasted[:1]).all()


def test_a_square_beside_the_picture_changes_nothing() -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    change = np.full((4, 4, 3), 9, np.float32)
    beside = central_corners(8, 8) + (0, 30)
    np.testing.assert_array_equal(paste_change(picture, change, beside, 0.05), picture)
