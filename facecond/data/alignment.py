"""From the landmarks of a face to the crop that CelebA-HQ and FFHQ show, and from what changed in
the crop back to the photo: pure geometry.

The crop is a square, turned with the face, whose half side is the longer of 2 eye distances and
1.8 distances from eyes to mouth, centred a tenth of the way from the eyes to the mouth (Karras et
al. 2018, appendix C; FFHQ's script of 2019 has the same formula).

Coordinates are (x, y) in pixels, y down; (0, 0) is the corner of the picture, so the middle of its
first pixel is (0.5, 0.5).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

EYE_SPANS, MOUTH_SPANS = 2.0, 1.8
TOWARDS_MOUTH = 0.1


@dataclass(frozen=True)
class Landmarks:
    """Points (x, y) of a face, float [2] each. Left and right are those of the picture."""

    left_eye: np.ndarray
    right_eye: np.ndarray
    left_mouth: np.ndarray
    right_mouth: np.ndarray

    @property
    def points(self) -> np.ndarray:
        """float [4, 2], in the order of the fields."""
        return np.stack([self.left_eye, self.right_eye, self.left_mouth, self.right_mouth])

    def moved(self, matrix: np.ndarray) -> Landmarks:
        """The same points after an affine map, float [2, 3]."""
        return Landmarks(*(self.points @ matrix[:, :2].T + matrix[:, 2]))

    def mirrored(self, width: float) -> Landmarks:
        """The points in the mirror image of a picture so wide; left and right trade places."""
        points = np.array([width, 0.0]) + self.points * [-1.0, 1.0]
        return Landmarks(*points[[1, 0, 3, 2]])


def face_square(face: Landmarks) -> np.ndarray:
    """Corners of the crop, float [4, 2]: top left, bottom left, bottom right, top right.

    Raises:
        ValueError: the points coincide, so that there is no direction or no size.
    """
    eyes = (face.left_eye + face.right_eye) / 2
    mouth = (face.left_mouth + face.right_mouth) / 2
    across, down = face.right_eye - face.left_eye, mouth - eyes
    # The picture's x axis: the mean of the eyes' direction and the normal of the face's axis.
    x = across - _quarter_turn(down)
    if np.hypot(*x) == 0:
        raise ValueError("eyes and mouth coincide")
    x = x / np.hypot(*x) * max(np.hypot(*across) * EYE_SPANS, np.hypot(*down) * MOUTH_SPANS)
    y = _quarter_turn(x)
    centre = eyes + TOWARDS_MOUTH * down
    return np.stack([centre - x - y, centre - x + y, centre + x + y, centre + x - y])


def square_to_crop(square: np.ndarray, size: int) -> np.ndarray:
    """The affine map, float [2, 3], from the picture to a crop of `size` pixels."""
    x, y = square[3] - square[0], square[1] - square[0]
    turn = np.stack([x / (x @ x), y / (y @ y)]) * size  # [2, 2]
    return np.concatenate([turn, -(turn @ square[0])[:, None]], 1)


def cut_square(picture: np.ndarray, square: np.ndarray, size: int) -> np.ndarray:
    """Cut a square out of a picture uint8 [H, W, 3] -> uint8 [size, size, 3].

    What lies outside the picture is its mirror image, as in CelebA-HQ. Where the square is larger
    than the crop, the pixels of the picture are averaged.
    """
    side = np.hypot(*(square[3] - square[0]))
    finer = max(int(np.ceil(side / size)), 1)
    matrix = square_to_crop(square, size * finer)
    # OpenCV counts from the middle of the first pixel.
    matrix[:, 2] += matrix[:, :2].sum(1) / 2 - 0.5
    crop = cv2.warpAffine(
        picture,
        matrix,
        (size * finer, size * finer),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    return cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA) if finer > 1 else crop


def central_corners(height: int, width: int) -> np.ndarray:
    """Corners of the largest central square of a picture, float [4, 2], as `face_square`."""
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    return np.array([(0, 0), (0, side), (side, side), (side, 0)], float) + (left, top)


def paste_change(
    picture: np.ndarray, change: np.ndarray, square: np.ndarray, edge: float
) -> np.ndarray:
    """Change a picture as its crop was changed: the way back from `cut_square`.

    Only the difference is enlarged, so the picture keeps its detail; what lies farther than two
    pixels of the crop from any that changed keeps its values.

    Args:
        picture: uint8 [H, W, 3].
        change: grey levels to add to the crop, float32 [S, S, 3].
        square: its corners, float [4, 2].
        edge: share of the square's side over which the change falls to 0 where the square ends
            within the picture.

    Returns:
        uint8 [H, W, 3].
    """
    side = float(np.hypot(*(square[3] - square[0])))
    if side < len(change):
        fewer = max(int(np.ceil(side)), 1)
        change = cv2.resize(change, (fewer, fewer), interpolation=cv2.INTER_AREA)
    # What holds the square and a pixel around it, as far as the picture goes.
    shape = np.array(picture.shape[1::-1])
    left, top = np.clip(np.floor(square.min(0)).astype(int) - 1, 0, shape)
    right, bottom = np.clip(np.ceil(square.max(0)).astype(int) + 1, 0, shape)
    changed = picture.copy()
    part = changed[top:bottom, left:right]  # [h, w, 3]
    if part.size == 0:
        return changed
    matrix = square_to_crop(square, len(change))
    x, y = np.arange(left, right) + 0.5, np.arange(top, bottom)[:, None] + 0.5
    half = len(change) / 2
    inside = np.ones(part.shape[:2], bool)
    for across, down, shift in matrix:
        inside &= np.abs(across * x + down * y + shift - half) <= half + 1e-6
    # OpenCV counts from the middle of the first pixel.
    matrix[:, 2] += matrix[:, :2] @ (left + 0.5, top + 0.5) - 0.5
    added = cv2.warpAffine(
        change,
        matrix,
        part.shape[1::-1],
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if not inside.all():
        near = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        share = np.minimum(near / (edge * side), 1)
        added *= (share * share * (3 - 2 * share))[..., None]
    part[:] = np.rint(np.clip(part + added, 0, 255)).astype(np.uint8)
    return changed


def _quarter_turn(v: np.ndarray) -> np.ndarray:
    """(x, y) -> (-y, x)."""
    return np.array([-v[1], v[0]])
