import numpy as np

from facecond.data.pairs.persons import Persons, leaks, likenesses
from facecond.data.prepared import PreparedFolder
from facecond.data.render_set import render_prepared
from facecond.data.writing import PreparedWriter

EVERY = slice(0, 4)


def folder_of(out, identities=None, splits="gggt") -> PreparedFolder:
    names = {"g": "generator", "t": "test"}
    with PreparedWriter(out, 16, "folder", identities=identities) as writer:
        for index, split in enumerate(splits):
            image = np.full((16, 16, 3), 40 * index, np.uint8)
            mask = np.zeros((16, 16), np.uint8)
            writer.add(f"n{index}", image, mask, np.zeros(40, np.int8), names[split])
    return PreparedFolder.open(out)


def test_a_file_decides_and_who_is_not_named_is_somebody_else(tmp_path):
    folder = folder_of(tmp_path / "a", {"n0": "p", "n2": "p"})
    persons = Persons.of(folder, np.arange(4), lambda images: 1 / 0)
    assert persons.known_by == "file"
    expected = np.eye(4, dtype=bool)
    expected[0, 2] = expected[2, 0] = True
    np.testing.assert_array_equal(persons.same(EVERY, EVERY, 0.5)[0], expected)


def test_an_embedding_decides_by_its_cosine(tmp_path):
    folder = folder_of(tmp_path / "a")
    angles = np.radians([0, 20, 90, 100])

    def embed(images: np.ndarray) -> np.ndarray:
        assert images.dtype == np.uint8 and images.shape[1:] == (16, 16, 3)
        chosen = angles[images[:, 0, 0, 0] // 40]
        return np.stack([np.cos(chosen), np.sin(chosen)], 1)

    persons = Persons.of(folder, np.arange(4), embed)
    assert persons.known_by == "embedding"
    same, surely = persons.same(EVERY, EVERY, *np.cos(np.radians([30, 15])))
    assert same.astype(int).tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
    assert surely.astype(int).tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
    assert persons.same(slice(0, 1), slice(1, 3), 0.9)[0].tolist() == [[True, False]]


def test_test_faces_that_look_like_those_of_a_split_are_counted(tmp_path):
    folder = folder_of(tmp_path / "a")  # three of the generator's, one of the test split

    def embed(images: np.ndarray) -> np.ndarray:
        last = images[:, 0, 0, 0] == 3 * 40
        return np.where(last[:, None], [0.8, 0.6], [1.0, 0.0])

    vectors = embed(np.stack([folder.image(i) for i in range(3)]))
    (said,) = likenesses(folder, "generator", vectors, embed, 0.7)
    assert said.startswith("1 of 1 faces of the test split look like persons of generator")
    assert likenesses(folder, "generator", vectors, embed, 0.9) == []
    assert likenesses(folder, "test", vectors, embed, 0.1) == []
    folder.excluded = {"n3": "left out"}
    assert likenesses(folder, "generator", vectors, embed, 0.1) == []


def test_without_either_nobody_is_the_same(tmp_path):
    persons = Persons.of(folder_of(tmp_path / "a"), np.arange(4), None)
    assert persons.known_by == "unknown" and not persons.same(EVERY, EVERY, -1.0)[0].any()


def test_persons_in_two_splits_are_counted(tmp_path):
    assert leaks(folder_of(tmp_path / "none")) == []
    assert leaks(folder_of(tmp_path / "clean", {"n0": "p", "n1": "p", "n3": "q"})) == []
    mixed = folder_of(tmp_path / "mixed", {"n0": "p", "n3": "p", "n1": "q"})
    (said,) = leaks(mixed)
    assert said.startswith("1 of 2 person ids are in more than one split")
    (tmp_path / "mixed" / "excluded.txt").write_text("n3\tleft out\n")
    assert leaks(PreparedFolder.open(tmp_path / "mixed")) == []


def test_planted_factors_stay_in_one_split(tmp_path):
    folder = render_prepared(tmp_path / "a", 16, 64, 0, True, 0.25, 0.25, workers=1, variations=2)
    assert leaks(folder) == []
    folder.splits[0] = "test" if folder.splits[0] != "test" else "judges"
    kinds = [said.split(" of ")[1].split()[1] for said in leaks(folder)]
    assert kinds == ["geometry", "appearance"]
