"""Pairs obey their definitions, on planted truth and on a folder made by hand."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import combinations

import numpy as np
import pytest

from facecond.data.pairs import PairRules, Pairs, build_pairs
from facecond.data.pairs import search as search_module
from facecond.data.pairs.compare import MaskOverlap, merged_labels
from facecond.data.pairs.search import DISTANCES, FLIPS, MIOUS
from facecond.data.prepared import PreparedFolder
from facecond.data.render_set import render_prepared
from facecond.data.writing import PreparedWriter
from facecond.errors import UserError
from facecond.labels import attribute_index

NAMES = ("Black_Hair", "Blond_Hair", "Male", "Pale_Skin", "Smiling", "Young")
COLUMNS = [attribute_index(name) for name in NAMES]
RULES = PairRules(attributes=NAMES, min_flips=3, min_stated=0.6, min_pairs=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> PreparedFolder:
    """80 faces of four noisy layouts and random attributes: persons in twos, some maskless."""
    random = np.random.default_rng(0)
    layouts = np.kron(random.integers(0, 19, (4, 4, 4)), np.ones((8, 8), int)).astype(np.uint8)
    out = tmp_path_factory.mktemp("pairs") / "data"
    people = {f"n{i}": str(i // 2) for i in range(80)}
    with PreparedWriter(out, 32, "folder", identities=people) as writer:
        for index in range(80):
            mask = layouts[random.integers(4)].copy()
            noise = random.random(mask.shape) < random.choice([0.0, 0.1, 0.3])
            mask[noise] = random.integers(0, 19, int(noise.sum()))
            attributes = np.full(40, -1, np.int8)
            attributes[COLUMNS] = random.integers(0, 2, len(COLUMNS))
            attributes[random.choice(COLUMNS, 1)] = -1
            image = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            split = "test" if index >= 60 else "generator"
            writer.add(f"n{index}", image, None if index % 10 == 9 else mask, attributes, split)
    return PreparedFolder.open(out)


@cache
def facts(folder: PreparedFolder, split: str) -> list[tuple[int, int, float, int, int, bool]]:
    """(position, position, mIoU, differing, stated, same person) of all pairs with masks."""
    indices = folder.indices(split)
    labels = merged_labels(np.stack([folder.mask(i).reshape(-1) for i in indices]))
    told = []
    for i, j in combinations(range(len(indices)), 2):
        first, second = indices[i], indices[j]
        if not (folder.has_mask[first] and folder.has_mask[second]):
            continue
        miou = float(MaskOverlap(labels[[i, j]]).block(slice(0, 1), slice(1, 2))[0, 0])
        a, b = folder.attributes[first][COLUMNS], folder.attributes[second][COLUMNS]
        both = (a >= 0) & (b >= 0)
        same = folder.identities[folder.names[first]] == folder.identities[folder.names[second]]
        told.append((i, j, miou, int((a != b)[both].sum()), int(both.sum()), same))
    return told


def expected(folder: PreparedFolder, split: str, rules: PairRules) -> dict[str, set]:
    geometry, appearance, identity = set(), set(), set()
    for i, j, miou, differing, stated, same in facts(folder, split):
        if same:
            if miou < rules.max_mask_miou:
                identity.add((i, j))
            continue
        if miou >= rules.min_mask_miou and differing >= rules.min_flips:
            geometry.add((i, j))
        enough = stated >= rules.min_stated * len(NAMES)
        if enough and miou < rules.max_mask_miou and differing <= rules.max_appearance_distance:
            appearance.add((i, j))
    return {"appearance": appearance, "geometry": geometry, "identity": identity}


def unordered(rows: np.ndarray) -> set[tuple[int, int]]:
    return {(min(pair), max(pair)) for pair in rows.tolist()}


@pytest.mark.parametrize("split", ["generator", "test"])
@pytest.mark.parametrize(
    "change",
    [{}, {"min_mask_miou": 0.4, "min_flips": 2}, {"max_mask_miou": 0.2, "min_stated": 0.0}],
)
def test_pairs_are_exactly_those_of_the_definitions(folder, split, change, monkeypatch):
    monkeypatch.setattr(search_module, "BLOCK", 16)
    rules = replace(RULES, **change)
    pairs = build_pairs(folder, split, rules)
    assert pairs.identity == "file" and pairs.attributes == NAMES
    for task, wanted in expected(folder, split, rules).items():
        assert len(wanted) > 2
        assert pairs.counts[task] == len(wanted)
        assert unordered(pairs.rows[task]) == wanted
        assert len(pairs.rows[task]) == 2 * len(wanted)  # either may be the reference
        assert len(np.unique(pairs.rows[task], axis=0)) == len(pairs.rows[task])
        assert pairs.rows[task].max() < len(folder.indices(split))
    n = len(folder.indices(split))
    np.testing.assert_array_equal(pairs.rows["reconstruction"], np.arange(n)[:, None].repeat(2, 1))
    assert pairs.counts["reconstruction"] == n


def test_tables_count_what_other_rules_would_find(folder):
    pairs = build_pairs(folder, "generator", RULES)
    for m, miou in enumerate(MIOUS):
        for f, flips in enumerate(FLIPS):
            rules = replace(RULES, min_mask_miou=miou, min_flips=flips)
            wanted = expected(folder, "generator", rules)["geometry"]
            assert pairs.tables["geometry"][m, f] == len(wanted)
        for d, distance in enumerate(DISTANCES):
            rules = replace(RULES, max_mask_miou=miou, max_appearance_distance=distance)
            wanted = expected(folder, "generator", rules)["appearance"]
            assert pairs.tables["appearance"][m, d] == len(wanted)
    assert "geometry: pairs by mask mIoU at least" in pairs.choices()


def test_all_classes_are_stricter_than_merged_ones(folder):
    every = build_pairs(folder, "generator", replace(RULES, classes="all", min_pairs=0))
    merged = build_pairs(folder, "generator", RULES)
    assert every.counts != merged.counts


def test_the_limit_spreads_over_the_targets(folder):
    whole = build_pairs(folder, "generator", RULES)
    some = build_pairs(folder, "generator", replace(RULES, max_pairs=40))
    other = build_pairs(folder, "generator", replace(RULES, max_pairs=40, seed=1))
    assert some.counts == whole.counts
    for task in ("appearance", "geometry"):
        rows = some.rows[task]
        assert len(rows) == 40 < len(whole.rows[task])
        assert set(map(tuple, rows.tolist())) <= set(map(tuple, whole.rows[task].tolist()))
        targets = len(np.unique(whole.rows[task][:, 1]))
        assert len(np.unique(rows[:, 1])) == min(40, targets)
        assert rows.tolist() != other.rows[task].tolist()
        again = build_pairs(folder, "generator", replace(RULES, max_pairs=40))
        np.testing.assert_array_equal(rows, again.rows[task])


def test_planted_factors_decide(tmp_path):
    folder = render_prepared(tmp_path / "a", 45, 64, 1, True, 0.2, 0.2, workers=1, variations=3)
    for split in ("generator", "test"):
        pairs = build_pairs(folder, split, PairRules(min_pairs=9))
        names = [folder.names[i] for i in folder.indices(split)]
        blocks = len(names) // 9
        assert pairs.identity == "factors" and pairs.tables == {} and pairs.choices() == ""
        # Of a block of 3 x 3, each of 9 faces has 2 partners.
        assert pairs.counts == {
            "appearance": 9 * blocks, "geometry": 9 * blocks, "identity": 0,
            "reconstruction": 9 * blocks,
        }  # fmt: skip
        for task, same, other in (
            ("appearance", "appearance", "geometry"), ("geometry", "geometry", "appearance")
        ):  # fmt: skip
            rows = pairs.rows[task]
            assert len(rows) == 18 * blocks
            for reference, target in rows.tolist():
                a, b = folder.factors[names[reference]], folder.factors[names[target]]
                assert getattr(a, same) == getattr(b, same)
                assert getattr(a, other) != getattr(b, other)
        for reference, target in pairs.rows["geometry"].tolist():
            first, second = (folder.indices(split)[k] for k in (reference, target))
            np.testing.assert_array_equal(folder.mask(first), folder.mask(second))


def test_rendered_faces_without_factors_pair_by_their_attributes(tmp_path):
    folder = render_prepared(tmp_path / "a", 40, 64, 1, True, 0.0, 0.0, workers=1)
    rules = PairRules(min_pairs=1, max_appearance_distance=2, min_mask_miou=0.5)
    pairs = build_pairs(folder, "generator", rules)
    columns = [attribute_index(name) for name in pairs.attributes]
    assert "Gray_Hair" in pairs.attributes and "Wavy_Hair" not in pairs.attributes
    for reference, target in pairs.rows["appearance"].tolist():
        assert (folder.attributes[reference] != folder.attributes[target])[columns].sum() <= 2
    for reference, target in pairs.rows["geometry"].tolist():
        assert (folder.attributes[reference] != folder.attributes[target])[columns].sum() >= 4
    assert pairs.identity == "unknown" and "warning" not in pairs.describe()  # all are drawn


def test_persons_who_may_be_one_are_told(tmp_path):
    mask = np.zeros((16, 16), np.uint8)
    for out, people, said in (
        ("nobody", None, "who is who is not known"),
        ("some", {"n0": "a", "n1": "a"}, "1 of 3 faces have no identity"),
        ("all", {"n0": "a", "n1": "a", "n2": "b"}, ""),
    ):
        with PreparedWriter(tmp_path / out, 16, "folder", identities=people) as writer:
            for index in range(3):
                image = np.full((16, 16, 3), index, np.uint8)
                writer.add(f"n{index}", image, mask, np.zeros(40, np.int8), "test")
        pairs = build_pairs(PreparedFolder.open(tmp_path / out), "test", PairRules(min_pairs=0))
        assert len(pairs.notes) == bool(said)
        assert f"warning: {said}" in pairs.describe() or not said


def test_an_embedding_keeps_persons_apart(tmp_path):
    folder = render_prepared(tmp_path / "a", 30, 64, 1, True, 0.0, 0.0, workers=1)
    rules = PairRules(min_pairs=0, max_appearance_distance=16, max_mask_miou=1.0, same_person=0.5)
    free = build_pairs(folder, "generator", rules)

    def one_person(images: np.ndarray) -> np.ndarray:
        return np.ones((len(images), 1), np.float32)

    told = build_pairs(folder, "generator", rules, embed=one_person)
    assert told.identity == "embedding" and told.notes == ()
    assert free.counts["appearance"] == 30 * 29 // 2 and told.counts["appearance"] == 0


def test_one_person_takes_a_higher_cosine_than_to_be_kept_apart(tmp_path):
    folder = render_prepared(tmp_path / "a", 30, 64, 1, True, 0.0, 0.2, workers=1)
    folder.source = "folder"  # drawn faces are nobody's
    rules = PairRules(min_pairs=1, max_mask_miou=1.0, same_person=0.5, one_person=0.9)
    middle = np.median([folder.image(i).mean() for i in range(30)])

    def embed(images: np.ndarray) -> np.ndarray:
        return np.stack([[1.0, 0.0] if image.mean() > middle else [0.8, 0.6] for image in images])

    pairs = build_pairs(folder, "generator", rules, tasks=["identity"], embed=embed)
    bright = np.array([folder.image(i).mean() > middle for i in folder.indices("generator")])
    for reference, target in pairs.rows["identity"].tolist():
        assert bright[reference] == bright[target] and reference != target
    n = int(bright.sum())
    assert pairs.counts["identity"] == n * (n - 1) // 2 + (24 - n) * (23 - n) // 2
    assert pairs.counts["appearance"] == 0  # all may be one person
    assert "6 of 6 faces of the test split look like persons of generator" in pairs.describe()


def test_identity_needs_persons_that_are_shown_twice(folder, tmp_path):
    drawn = render_prepared(tmp_path / "a", 6, 64, 1, True, 0.0, 0.0, workers=1)
    with pytest.raises(UserError, match="rendered faces show nobody twice"):
        build_pairs(drawn, "generator", RULES, tasks=["identity"], embed=lambda images: images)
    drawn.source = "folder"
    with pytest.raises(UserError, match=r"who is who is not known.*reference\.embedder"):
        build_pairs(drawn, "generator", RULES, tasks=["identity"])
    with pytest.raises(UserError, match=r"task identity.*more pictures per person"):
        build_pairs(folder, "test", replace(RULES, min_pairs=50), tasks=["identity"])


def test_a_cache_is_read_again_and_a_stale_or_damaged_one_built_anew(folder, tmp_path, capsys):
    path = tmp_path / "deep" / "pairs.safetensors"
    first = build_pairs(folder, "generator", RULES, cache=path)
    said = capsys.readouterr().err
    assert "pairs" in said  # the progress bar
    again = build_pairs(folder, "generator", RULES, cache=path)
    assert capsys.readouterr().err == ""
    _equal(first, again)

    other = build_pairs(folder, "generator", replace(RULES, min_flips=2), cache=path)
    assert "stale: other data or rules; building them anew" in capsys.readouterr().out
    assert other.counts != first.counts
    build_pairs(folder, "test", replace(RULES, min_flips=2), cache=path)
    assert "stale" in capsys.readouterr().out

    build_pairs(folder, "generator", RULES, cache=path)
    content = bytearray(path.read_bytes())
    for damaged in (content[:100], content[:-9] + bytes([content[-9] ^ 1]) + content[-8:], b""):
        path.write_bytes(bytes(damaged))
        capsys.readouterr()
        _equal(build_pairs(folder, "generator", RULES, cache=path), first)
        assert "building them anew" in capsys.readouterr().out
    # What is an error depends on the call, not on the cache.
    with pytest.raises(UserError, match="wanted"):
        build_pairs(folder, "generator", replace(RULES, min_pairs=10_000), cache=path)
    assert "stale" not in capsys.readouterr().out


def _equal(one: Pairs, two: Pairs) -> None:
    assert (one.counts, one.identity, one.sizes, one.notes) == (
        two.counts, two.identity, two.sizes, two.notes
    )  # fmt: skip
    assert (one.split, one.faces, one.attributes) == (two.split, two.faces, two.attributes)
    for mine, other in ((one.rows, two.rows), (one.tables, two.tables)):
        assert mine.keys() == other.keys()
        for task, array in mine.items():
            assert array.dtype == other[task].dtype
            np.testing.assert_array_equal(array, other[task])


def test_too_few_pairs_are_an_error_that_says_what_to_do(folder):
    strict = replace(RULES, min_mask_miou=0.99, min_flips=6, min_pairs=50)
    with pytest.raises(UserError, match=r"task geometry in the split test, 50 wanted.*Lower pairs"):
        build_pairs(folder, "test", strict, tasks=["geometry"])
    with pytest.raises(UserError, match=r"task appearance.*pairs.max_appearance_distance"):
        build_pairs(folder, "test", replace(RULES, min_pairs=5000), tasks=["appearance"])
    assert build_pairs(folder, "test", replace(strict, min_pairs=20), tasks=["reconstruction"])
    with pytest.raises(UserError, match=r"unknown task 'geometri'.*'geometry'"):
        build_pairs(folder, "test", RULES, tasks=["geometri"])


def test_a_split_without_masks_has_no_pairs(tmp_path):
    with PreparedWriter(tmp_path / "a", 16, "folder") as writer:
        for index in range(3):
            image = np.zeros((16, 16, 3), np.uint8)
            writer.add(f"n{index}", image, None, np.zeros(40, np.int8), "test")
    folder = PreparedFolder.open(tmp_path / "a")
    pairs = build_pairs(folder, "test", PairRules(min_pairs=0), embed=lambda images: images)
    assert pairs.counts == {"appearance": 0, "geometry": 0, "identity": 0, "reconstruction": 3}
    with pytest.raises(UserError, match="of 3 faces 0 have a mask"):
        build_pairs(folder, "test", PairRules(min_pairs=1))
