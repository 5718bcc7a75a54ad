"""Pairs of target and reference: drawn by the key alone, by their task's rule, at their shares."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from facecond.data.latents import LatentCache, build_latent_cache
from facecond.data.paired_latents import PairedLatents
from facecond.data.prepared import PreparedFolder
from facecond.data.writing import PreparedWriter
from facecond.errors import UserError

COUNT = 12
TASKS = ("appearance", "geometry", "reconstruction", "attribute", "identity", "both")
PAIRS = {
    "appearance": np.array([[0, 1], [2, 3]]),
    "geometry": np.array([[5, 4], [6, 3], [7, 3]]),
    "identity": np.array([[8, 9]]),
}
EVEN = dict.fromkeys(TASKS, 1.0)
EVIDENCE = np.arange(COUNT * 6, dtype=np.float16).reshape(COUNT, 2, 3)


def encode(images: torch.Tensor) -> tuple[torch.Tensor, None]:
    return torch.nn.functional.avg_pool2d(images.float() / 255, 2), None


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> LatentCache:
    out = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    with PreparedWriter(out / "prepared", 16, "rendered") as writer:
        for index in range(COUNT):
            image = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            mask = random.integers(0, 19, (16, 16), dtype=np.uint8)
            attributes = np.full(40, -1, np.int8)
            attributes[0] = index % 2 if index != 11 else -1
            attributes[1] = 1  # of all faces: nothing to be learned
            attributes[2] = index == 0  # of one
            writer.add(f"n{index}", image, mask, attributes, "generator")
    folder = PreparedFolder.open(out / "prepared")
    options = {"first_stage_hash": "stage", "latent_shape": (3, 8, 8)}
    return build_latent_cache(folder, "generator", encode, out / "cache", **options)


def paired(cache: LatentCache, mix: dict[str, float] = EVEN, **options: object) -> PairedLatents:
    return PairedLatents(cache, PAIRS, EVIDENCE, TASKS, mix, attributes=[0, 1, 2, 3], **options)


def test_every_item_obeys_the_rule_of_its_task(cache: LatentCache) -> None:
    faces = paired(cache)
    seen, triples = set(), set()
    for epoch in range(40):
        for position, item in enumerate(faces.__getitems__([(epoch, p) for p in range(COUNT)])):
            target, reference = int(item["index"]), int(item["reference"])
            task = TASKS[int(item["task"])]
            seen.add(task)
            assert np.array_equal(item["evidence"].numpy(), EVIDENCE[reference])
            assert torch.equal(item["latents"], cache[epoch, target]["latents"])
            assert int(item["attribute"]) == (0 if task == "attribute" else -1)
            shape = int(item["geometry_reference"])
            assert np.array_equal(item["geometry_evidence"].numpy(), EVIDENCE[shape])
            assert (shape == reference) == (task != "both")
            if task == "both":
                triples.add((reference, shape, target))
            elif task in PAIRS:
                assert [reference, target] in PAIRS[task].tolist()
            elif task == "attribute":  # nothing is known of 11: another face is taken
                assert target == position if position != 11 else target != 11
                assert reference != target and reference != 11 and reference % 2 == target % 2
            else:
                assert target == position == reference
    assert seen == set(TASKS) and triples == {(2, 6, 3), (2, 7, 3)}


def test_attributes_alone_are_never_mere_reconstruction(cache: LatentCache) -> None:
    faces = paired(cache, {"attribute": 1.0})
    items = faces.__getitems__([(epoch, 11) for epoch in range(50)])
    assert {TASKS[int(item["task"])] for item in items} == {"attribute"}
    assert "geometry_evidence" not in items[0]  # one reference is enough
    with pytest.raises(UserError, match="no pairs for 'attribute'"):
        PairedLatents(cache, PAIRS, EVIDENCE, TASKS, {"attribute": 1.0}, attributes=[1, 2, 3])


def test_tasks_come_at_their_shares_and_depend_on_the_key_alone(cache: LatentCache) -> None:
    faces = paired(cache, {"appearance": 3.0, "reconstruction": 1.0})
    keys = [(epoch, position) for epoch in range(200) for position in range(COUNT)]
    tasks = np.array([int(item["task"]) for item in faces.__getitems__(keys)])
    assert abs((tasks == 0).mean() - 0.75) < 0.03 and set(tasks) == {0, 2}
    again = [int(faces[key]["reference"]) for key in reversed(keys[:50])]
    assert again == [int(item["reference"]) for item in reversed(faces.__getitems__(keys[:50]))]
    other = paired(cache, {"appearance": 3.0, "reconstruction": 1.0}, seed=1)
    assert any(int(other[k]["reference"]) != int(faces[k]["reference"]) for k in keys[:50])


def test_the_same_picture_may_stand_for_every_reference(cache: LatentCache) -> None:
    faces = paired(cache, same_picture=True)
    items = faces.__getitems__([(0, p) for p in range(COUNT)])
    assert all(item["reference"] == item["index"] for item in items)


@pytest.mark.parametrize(
    ("mix", "message"),
    [
        ({"apearance": 1.0}, "Did you mean 'appearance'"),
        ({"appearance": -1.0}, "0 or more"),
        ({"appearance": 0.0}, "no task has a share"),
    ],
)
def test_faults_of_the_mix_are_told(cache: LatentCache, mix: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        paired(cache, mix)


def test_a_task_without_pairs_and_a_cache_of_variants_are_refused(
    cache: LatentCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="no pairs for 'both'"):
        only = {"appearance": np.array([[0, 1]]), "geometry": np.array([[0, 2]])}
        PairedLatents(cache, only, EVIDENCE, TASKS, {"both": 1.0})
    with pytest.raises(UserError, match="no pairs for 'geometry'"):
        PairedLatents(cache, {}, EVIDENCE, TASKS, {"geometry": 1.0})
    monkeypatch.setattr(cache, "variants", 2)
    with pytest.raises(UserError, match=r"data\.variants"):
        paired(cache)
