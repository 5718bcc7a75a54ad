import numpy as np

from facecond.data.pairs import Triples


def test_a_target_has_a_reference_of_either_kind():
    appearance = np.array([[1, 0], [2, 0], [3, 4], [5, 6]])
    geometry = np.array([[8, 0], [0, 3], [7, 6], [8, 6], [9, 6]])
    triples = Triples({"appearance": appearance, "geometry": geometry})
    assert triples.targets.tolist() == [0, 6] and len(triples) == 2
    assert triples.count == 2 * 1 + 1 * 3
    numbers = np.random.default_rng(0)
    drawn = {triples.draw(numbers) for _ in range(200)}
    assert drawn == {(1, 8, 0), (2, 8, 0), (5, 7, 6), (5, 8, 6), (5, 9, 6)}


def test_none_are_none():
    none = np.zeros((0, 2), np.int64)
    assert len(Triples({"appearance": none, "geometry": none})) == 0
    assert Triples({"appearance": np.array([[0, 1]])}).count == 0
