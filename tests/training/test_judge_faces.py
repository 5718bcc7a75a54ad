"""The judges' faces: the same whether they are kept in memory or read when asked for; halves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from facecond.data.prepared import PreparedFolder
from facecond.data.splits import half_of
from facecond.data.writing import PreparedWriter
from facecond.errors import UserError
from facecond.storage import read_json
from facecond.training import judge_faces
from facecond.training.judge_faces import FaceSource, read_faces
from facecond.training.judges import train_judge


@pytest.fixture(scope="module")
def folder(rendered_root: Path) -> PreparedFolder:
    return PreparedFolder.open(rendered_root)


def test_faces_are_those_of_the_files(folder: PreparedFolder) -> None:
    source = read_faces(folder, "parser", progress=False)
    rows = folder.indices("judges")
    assert len(source) == len(rows)
    picked = source.subset(np.array([5, 3, 4]))[np.array([2, 0])]  # rows 4 and 5
    for place, row in enumerate(rows[[4, 5]]):
        image = torch.from_numpy(folder.image(int(row))).permute(2, 0, 1)
        assert torch.equal(picked.images[place], image)
        assert torch.equal(picked.masks[place], torch.from_numpy(folder.mask(int(row))))
        assert picked.attributes[place].tolist() == folder.attributes[row].tolist()


@pytest.mark.parametrize("kind", ["parser", "attributes"])
def test_large_sets_are_read_when_asked_for_and_train_alike(
    folder: PreparedFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    kept = read_faces(folder, kind, progress=False)  # type: ignore[arg-type]
    settings = {"steps": 3, "batch_size": 6, "width": 8, "progress": False}
    scores = train_judge(kind, folder, tmp_path / "kept", **settings)  # type: ignore[arg-type]
    monkeypatch.setattr(judge_faces, "MEMORY_LIMIT", 1000)
    lazy = read_faces(folder, kind, progress=False)  # type: ignore[arg-type]
    assert lazy._kept is None and kept._kept is not None
    positions = np.array([7, 0, 7])
    for name in ("images", "masks", "attributes"):
        assert torch.equal(getattr(lazy[positions], name), getattr(kept[positions], name))
    again = train_judge(kind, folder, tmp_path / "lazy", **settings)  # type: ignore[arg-type]
    assert again["weights_sha256"] == scores["weights_sha256"]


def test_workers_change_nothing(folder: PreparedFolder, tmp_path: Path) -> None:
    settings = {"steps": 3, "batch_size": 6, "width": 8, "affine": 0.1, "progress": False}
    alone = train_judge("parser", folder, tmp_path / "alone", **settings)
    helped = train_judge("parser", folder, tmp_path / "helped", num_workers=1, **settings)
    assert alone["weights_sha256"] == helped["weights_sha256"]


def test_halves_share_no_face_and_make_the_whole(quarters: PreparedFolder) -> None:
    whole, a, b = (
        set(read_faces(quarters, "attributes", False, part).rows.tolist())  # type: ignore[arg-type]
        for part in ("all", "a", "b")
    )
    assert a | b == whole and not a & b and min(len(a), len(b)) > 60


def test_halves_and_validation_faces_share_no_person(
    tmp_path: Path, quarters: PreparedFolder
) -> None:
    people = {name: str(index // 6) for index, name in enumerate(quarters.names)}
    with PreparedWriter(tmp_path / "named", 32, "rendered", identities=people) as writer:
        for row, name in enumerate(quarters.names[:120]):
            writer.add(name, quarters.image(row), None, quarters.attributes[row], "judges")
    folder = PreparedFolder.open(tmp_path / "named")
    halves = [
        {people[name] for name in read_faces(folder, "attributes", False, half).names}
        for half in ("a", "b")
    ]
    assert min(map(len, halves)) > 4 and not halves[0] & halves[1]
    seen: list[set[str]] = []

    def watch(source: FaceSource, positions: np.ndarray) -> FaceSource:
        seen.append({people[source.names[place]] for place in positions})
        return subset(source, positions)

    subset = FaceSource.subset
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FaceSource, "subset", watch)
        few = {"steps": 1, "batch_size": 4, "width": 8, "progress": False}
        scores = train_judge("attributes", folder, tmp_path / "judge", **few)  # type: ignore[arg-type]
    assert scores["images"] == {"train": 108, "validation": 12}
    assert len(seen) == 2 and seen[0] and not seen[0] & seen[1]


def test_relabelled_faces_are_the_same_faces(folder: PreparedFolder) -> None:
    source = read_faces(folder, "parser", progress=False).subset(np.array([4, 2, 7]))
    told = np.arange(120, dtype=np.int8).reshape(3, 40)
    other = source.relabelled(told)
    assert torch.equal(other[np.array([2])].images, source[np.array([2])].images)
    assert torch.equal(other.attributes, torch.from_numpy(told))
    part = other.subset(np.array([1]))
    assert part[np.array([0])].attributes.tolist() == told[[1]].tolist()
    assert folder.attributes.max() == 1  # the folder keeps its own


def test_a_half_is_too_small_with_its_name(folder: PreparedFolder) -> None:
    with pytest.raises(UserError, match=r"faces of half a of the judges' split have masks; 999"):
        read_faces(folder, "parser", False, "a", fewest=999)
    with pytest.raises(UserError, match=r"of the test split have masks"):
        read_faces(folder, "parser", False, split="test", fewest=999)


def test_a_judge_of_a_half_says_so(quarters: PreparedFolder, tmp_path: Path) -> None:
    out = tmp_path / "judge"
    few = {"steps": 2, "batch_size": 4, "width": 8, "progress": False}
    share = sum(half_of(quarters.names[i]) == "b" for i in quarters.indices("judges"))
    scores = train_judge("attributes", quarters, out, part="b", seed=4, **few)
    assert read_json(out / "scores.json")["part"] == "b" and scores["seed"] == 4
    assert sum(scores["images"].values()) == share
    card = (out / "card.md").read_text("utf-8")
    assert "half b of the judges' split" in card and "seed 4, part b" in card


def test_the_training_faces_are_all_but_the_test_faces(folder: PreparedFolder) -> None:
    everyone = set(read_faces(folder, "parser", progress=False, split="training").rows.tolist())
    rows = {name: set(folder.indices(name).tolist()) for name in ("generator", "judges", "test")}
    assert everyone == rows["generator"] | rows["judges"] and not everyone & rows["test"]
    halves = [
        set(read_faces(folder, "parser", False, half, "training", 1).rows.tolist())
        for half in ("a", "b")
    ]
    assert halves[0] | halves[1] == everyone and not halves[0] & halves[1]
