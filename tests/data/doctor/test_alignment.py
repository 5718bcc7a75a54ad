import numpy as np
import pytest

from facecond.data.doctor import alignment
from facecond.data.doctor.alignment import Bank, at_side, measure
from facecond.labels import ANYTHING


@pytest.fixture(scope="module")
def bank(faces):
    return Bank(tuple(map(str, range(32))), np.array([at_side(face.mask) for face in faces[:32]]))


def _moved(mask, across, down):
    padded = np.pad(mask, 20, mode="edge")
    return padded[20 - down : 148 - down, 20 - across : 148 - across]


def test_masks_on_their_own_pictures_fit(faces, bank):
    for index, face in enumerate(faces):
        assert measure(str(index), face.image, face.mask, bank).verdict() is None


@pytest.mark.parametrize(("across", "down"), [(8, 0), (0, -8), (-6, 6), (13, 5)])
def test_a_shift_is_found_and_measured(faces, bank, across, down):
    for index in range(6):
        face = faces[index]
        found = measure(str(index), face.image, _moved(face.mask, across, down), bank)
        assert found.verdict() == "mask-shifted"
        # Where the picture says the mask should go: back.
        np.testing.assert_allclose(np.array(found.shift) * 128, (-across, -down), atol=1.01)


def test_a_shift_of_two_pixels_passes(faces, bank):
    for index in range(6):
        found = measure(str(index), faces[index].image, _moved(faces[index].mask, 2, 0), bank)
        assert found.verdict() is None


def test_a_mirrored_picture_is_found(faces, bank):
    codes = [
        measure("x", np.ascontiguousarray(face.image[:, ::-1]), face.mask, bank).verdict()
        for face in faces
    ]
    assert codes.count(None) <= 2 and codes.count("mask-mirrored") >= 34  # some are symmetric


def test_the_mask_of_another_face_is_found(faces, bank):
    pairs = zip(faces, faces[7:] + faces[:7], strict=True)
    codes = [measure("x", face.image, other.mask, bank).verdict() for face, other in pairs]
    assert sum(code is not None for code in codes) >= 38
    assert "mask-of-other" in codes


def test_the_own_mask_in_the_bank_does_not_count(faces, bank):
    face = faces[0]
    twins = Bank(("0",) * 32, np.array([at_side(face.mask)] * 32))
    found = measure("0", face.image, face.mask, twins)
    assert found.edge_fit is None and found.colour_fit is None and found.verdict() is None
    assert measure("1", face.image, face.mask, bank).edge_fit is not None


def test_without_other_masks_shifts_are_still_found(faces):
    few = Bank((), np.empty((0, 128, 128), np.uint8))
    assert measure("0", faces[0].image, faces[0].mask, few).verdict() is None
    moved = _moved(faces[0].mask, 9, 0)
    assert measure("0", faces[0].image, moved, few).verdict() == "mask-shifted"


def test_open_regions_do_not_speak_against_a_mask(faces, bank):
    for index in range(8):
        mask = faces[index].mask.copy()
        mask[90:] = ANYTHING
        mask[:, :20] = ANYTHING
        assert measure(str(index), faces[index].image, mask, bank).verdict() is None
    assert measure("0", faces[0].image, np.full((128, 128), ANYTHING, np.uint8), bank) is None
    assert measure("0", faces[0].image, np.zeros((128, 128), np.uint8), bank) is None


def test_at_side_takes_the_central_square():
    mask = np.zeros((64, 100), np.uint8)
    mask[:, 18:82] = 7
    assert at_side(mask).shape == (alignment.SIDE, alignment.SIDE) and (at_side(mask) == 7).all()
    assert alignment.central_square(np.zeros((6, 3, 3))).shape == (3, 3, 3)
