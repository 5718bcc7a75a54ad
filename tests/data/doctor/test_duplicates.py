import cv2
import numpy as np

from facecond.data.doctor import duplicates
from facecond.data.doctor.duplicates import alike_pairs, clusters, likeness, near_pairs, small_copy


def _flip_bits(value, count, random):
    for bit in random.choice(64, count, replace=False):
        value ^= 1 << int(bit)
    return value


def test_bands_find_every_pair_that_comparing_all_with_all_finds():
    random = np.random.default_rng(0)
    hashes = [int(random.integers(0, 2**63)) for _ in range(200)]
    hashes += [_flip_bits(value, count % 15, random) for count, value in enumerate(hashes)]
    array = np.array(hashes, np.uint64)
    truth = {
        (i, j)
        for i, a in enumerate(hashes)
        for j, b in enumerate(hashes)
        if bin(a ^ b).count("1") <= duplicates.DISTANCE
    }
    assert {tuple(pair) for pair in near_pairs(array, array).tolist()} == truth
    assert sum(i != j for i, j in truth) >= 330  # the planted ones among them


def test_chunks_lose_no_pairs(monkeypatch):
    array = np.array([3, 3, 7, 2**40, 3, 5], np.uint64)
    whole = near_pairs(array, array)
    monkeypatch.setattr(duplicates, "_CHUNK", 2)
    np.testing.assert_array_equal(near_pairs(array, array), whole)


def test_reworked_copies_are_alike_and_other_faces_are_not(faces):
    image = faces[0].image
    smaller = cv2.resize(image, (70, 70), interpolation=cv2.INTER_AREA)
    brighter = np.clip(image * 1.15 + 6, 0, 255).astype(np.uint8)
    cropped = np.ascontiguousarray(image[1:126, 2:127])
    copy = small_copy(image)
    assert likeness(copy, copy) > 0.999
    for other in (smaller, brighter, cropped):
        assert likeness(copy, small_copy(other)) > duplicates.ALIKE
    scores = [likeness(copy, small_copy(face.image)) for face in faces[1:]]
    assert max(scores) < 0.95


def test_pairs_among_faces(faces):
    images = [face.image for face in faces]
    images += [np.ascontiguousarray(images[3][:, ::-1]), images[7] // 2 + 40]
    found = {(i, j): mirrored for i, j, _, mirrored in alike_pairs([small_copy(i) for i in images])}
    assert found == {(3, 40): True, (7, 41): False}


def test_flat_pictures_are_nobodys_copy():
    flat = [np.full((64, 64), value, np.uint8) for value in (0, 90, 91)]
    assert list(alike_pairs(flat)) == [] and list(alike_pairs([])) == []


def test_clusters_join_chains():
    assert clusters([(5, 2), (7, 8), (2, 9), (8, 7)]) == [[2, 5, 9], [7, 8]]
    assert clusters([]) == []
