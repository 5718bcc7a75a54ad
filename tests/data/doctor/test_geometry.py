import numpy as np
import pytest

from facecond.data.doctor import geometry
from facecond.labels import LABEL_ORDERS, MASK_CLASSES, mirror_mask


def _reordered(mask, order):
    table = np.arange(256, dtype=np.uint8)
    for value, name in enumerate(LABEL_ORDERS[order]):
        table[MASK_CLASSES.index(name)] = value
    return table[mask]


def test_places_are_shares_and_centres():
    mask = np.zeros((5, 11), np.uint8)
    mask[0, 8:] = 3
    mask[4, 10] = 200  # no class: passed over
    where = geometry.places(mask)
    assert where.area[3] == pytest.approx(3 / 55) and where.area[0] == pytest.approx(51 / 55)
    assert where.x[3] == pytest.approx(0.9) and where.y[3] == 0
    assert where.area[4] == where.x[4] == 0 and where.area.shape == (19,)


@pytest.mark.parametrize("order", LABEL_ORDERS)
def test_the_order_of_every_rendered_mask_is_recognised(faces, order):
    for face in faces:
        table = geometry.fit(geometry.places(_reordered(face.mask, order)))
        assert geometry.likely_order(table) == (order, {})


def test_shuffled_classes_are_unknown_and_their_meaning_is_read_off_their_places(faces):
    right = total = 0
    for index, face in enumerate(faces):
        table = np.arange(256, dtype=np.uint8)
        table[:19] = np.random.default_rng(index).permutation(19)
        order, meaning = geometry.likely_order(geometry.fit(geometry.places(table[face.mask])))
        assert order == geometry.UNKNOWN
        for value in np.unique(face.mask):
            total += 1
            right += meaning[int(table[value])] == MASK_CLASSES[value]
    assert right / total > 0.9


def test_swapped_sides_are_named(faces):
    table = np.arange(256, dtype=np.uint8)
    table[[4, 5]] = [5, 4]
    face = next(face for face in faces if (face.mask == 4).sum() > 20)
    assert geometry.swapped_pairs(geometry.places(face.mask)) == []
    assert geometry.swapped_pairs(geometry.places(table[face.mask])) == ["eye"]
    assert "brow" in geometry.swapped_pairs(geometry.places(face.mask[:, ::-1]))
    assert geometry.swapped_pairs(geometry.places(mirror_mask(face.mask))) == []


def test_one_eye_alone_is_on_no_wrong_side():
    mask = np.ones((64, 64), np.uint8)
    mask[20:24, 10:14] = MASK_CLASSES.index("l_eye")
    assert geometry.swapped_pairs(geometry.places(mask)) == []


def test_majority():
    assert geometry.majority([]) == "celebamask"
    assert geometry.majority(["bisenet", "unknown", "bisenet"]) == "bisenet"
    assert geometry.majority(["bisenet", "celebamask"]) == "celebamask"
