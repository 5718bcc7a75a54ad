"""Each probe on planted generators whose faults are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from facecond.data.prepared import PreparedFolder
from facecond.evaluation.conditions import condition_rows, noise_seed
from facecond.evaluation.context import Amounts
from facecond.evaluation.judges import Judges
from facecond.evaluation.protocol import PROTOCOLS, Evaluation, Protocol
from facecond.evaluation.turned import Turned, balanced_places
from facecond.labels import ATTRIBUTES
from facecond.metrics import mean_iou

GROUPS = Protocol("groups", None, {"groups": PROTOCOLS["full"].probes["groups"]})
FEW = Amounts(diversity=12, samples=3, open=30, samples_open=6, turned=16, swapped=40)


class PixelDistance(nn.Module):
    """Mean absolute difference of pixels in [-1, 1]: a distance that can be checked by hand."""

    name = "pixels"

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()), requires_grad=False)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return (first - second).abs().mean((1, 2, 3)) * self.scale  # [B]


@pytest.fixture(scope="module")
def full(world: Any, faces: PreparedFolder, judges: Judges) -> Any:
    """Pipeline -> its evaluation by the protocol `full`, each made once."""
    made: dict[str, Evaluation] = {}

    def evaluate(name: str, pipeline: Any) -> Evaluation:
        if name not in made:
            options = {"n": None, "protocol": "full", "amounts": FEW, "distance": PixelDistance()}
            made[name] = world.run(faces, judges, pipeline, **options)
        return made[name]

    return evaluate


def test_a_perfect_generator_passes_every_probe(full: Any, world: Any) -> None:
    found = full("perfect", world.Painter())
    assert not [row for row in found.rows if row.get("note")]
    obeyed = ("mask_miou", "attribute_bacc", "partial_attribute_bacc", "partial_mask_miou")
    for metric in (*obeyed, "attribute_effect", "mask_stability", "attribute_stability"):
        scores = world.row(found, metric)
        assert scores["share"] > 0.95, metric
        assert scores["low"] <= scores["score"] <= scores["high"] and scores["n"] >= 16
        assert scores["floor"] < 0.6 < scores["score"]
    assert world.row(found, "off_target_effect")["score"] < 0.03
    for metric in ("open_attribute_entropy", "open_region_entropy"):
        assert world.row(found, metric)["share"] == pytest.approx(1, abs=0.12), metric
    for name in ("precision", "recall", "density", "coverage"):
        scores = world.row(found, f"manifold_{name}")
        assert scores["score"] == pytest.approx(scores["ceiling"], abs=0.1), name


def test_entanglement_is_measured_where_it_was_planted(full: Any, world: Any) -> None:
    clean = world.row(full("perfect", world.Painter()), "off_target_effect")
    entangled = {"5_o_Clock_Shadow": "Young"}
    found = full("entangled", world.Painter(entangled=entangled))
    assert world.row(found, "off_target_effect")["score"] > clean["score"] + 0.05
    turned: Turned = found.shows["selectivity"]
    effect = turned.change.mean(1)  # [T, 40]
    leader, young = turned.names.index("5_o_Clock_Shadow"), ATTRIBUTES.index("Young")
    assert effect[leader, young] > 0.7
    assert abs(effect[turned.names.index("Male"), young]) < 0.05
    # The follower itself does not answer to its own switch any more.
    detail = world.row(found, "attribute_effect")["detail"]
    assert abs(detail["Young"]["score"]) < 0.05 < 0.9 < detail["Male"]["score"]
    # ... and the group audit says whose reading moves.
    assert world.row(found, "moves_Young@Male")["score"] > 0.7
    assert world.row(found, "moves_Male@Young")["score"] < 0.05
    assert world.row(full("perfect", world.Painter()), "moves_Young@Male")["score"] < 0.05


def test_a_deaf_generator_is_stable_and_has_no_effect(full: Any, world: Any) -> None:
    found = full("deaf", world.Painter(deaf=True))
    assert abs(world.row(found, "attribute_effect")["score"]) < 1e-6
    assert world.row(found, "mask_stability")["score"] == 1  # why it is read beside the effect
    assert abs(world.row(found, "partial_attribute_bacc")["share"]) < 0.2
    assert abs(world.row(found, "partial_mask_miou")["share"]) < 0.2


def test_a_mask_that_moves_with_an_attribute_is_unstable(full: Any, world: Any) -> None:
    found = full("shifty", world.Painter(shifty=True))
    scores = world.row(found, "mask_stability")
    turned: Turned = found.shows["selectivity"]
    first = turned.names.index("5_o_Clock_Shadow")
    each = [float(mean_iou(counts.sum(0))) for counts in turned.counts]
    assert each[first] < 0.6 < 0.97 < min(np.delete(each, first))
    assert scores["floor"] < scores["score"] < 0.95


def test_what_never_changes_is_neither_open_nor_diverse(full: Any, world: Any) -> None:
    perfect, stiff = full("perfect", world.Painter()), full("stiff", world.Painter(stiff=True))
    assert world.row(stiff, "open_attribute_entropy")["score"] < 0.02
    assert world.row(stiff, "open_region_entropy")["share"] < 0.02
    assert world.row(stiff, "diversity_pixels")["score"] == 0
    assert world.row(stiff, "partial_attribute_bacc")["share"] > 0.95  # obeyed all the same
    # Two noises of the painter, uniform in +-20 grey levels, differ by 40/3 in the mean but for
    # clipping and the plain strips; different faces differ in their colours.
    scores = world.row(perfect, "diversity_pixels")
    assert 0.5 * (41 / 3) / 127.5 < scores["score"] < 1.01 * (41 / 3) / 127.5
    assert scores["ceiling"] > 3 * scores["score"]
    assert (scores["n"], scores["samples"], scores["floor"]) == (12, 3, 0)


def test_copies_of_training_pictures_are_found(
    full: Any, world: Any, faces: PreparedFolder
) -> None:
    perfect = full("perfect", world.Painter())
    copies = full("copier", world.Copier(faces))
    assert world.row(perfect, "memorised_share")["score"] < 0.1
    found = world.row(copies, "memorised_share")
    assert found["score"] == 1 and found["share"] < 0.01
    assert world.row(copies, "nearest_distance")["score"] < 1e-4
    mirrored = full("mirrored", world.Copier(faces, mirrored=True))
    assert world.row(mirrored, "memorised_share")["score"] == 1
    near = copies.shows["memorisation"]
    assert (faces.splits[near.rows] == "generator").all()
    for place, trained in zip(near.places, near.rows, strict=True):
        if place < len(copies.samples):
            assert np.array_equal(copies.samples[place], faces.image(int(trained)))
    # What is never new covers no more of the data than it was given.
    assert world.row(copies, "manifold_precision")["score"] == 1


def test_the_groups_are_those_of_the_truth(
    full: Any, world: Any, faces: PreparedFolder, judges: Judges
) -> None:
    found = full("perfect", world.Painter())
    values = faces.attributes[found.indices]
    for name in ("Male", "Young"):
        present = values[:, ATTRIBUTES.index(name)] == 1
        assert world.row(found, f"mask_miou@{name}")["n"] == present.sum()
        assert world.row(found, f"mask_miou@not {name}")["n"] == (~present).sum()
    # All attributes but the grouping one occur both ways in every group.
    assert world.row(found, "attribute_bacc@Male")["attributes"] == 2
    places = balanced_places(found.context, 16)
    groups = [
        tuple(row)
        for row in values[places][:, [ATTRIBUTES.index("Male"), ATTRIBUTES.index("Young")]]
    ]
    assert {group: groups.count(group) for group in groups} == dict.fromkeys(set(groups), 4)


def test_bad_faces_of_one_group_show_in_its_row(
    world: Any, faces: PreparedFolder, judges: Judges
) -> None:
    class Unfair(world.Painter):  # type: ignore[name-defined,misc]
        """Ignores the mask where Male is asked for."""

        def face(self, values: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
            if values[ATTRIBUTES.index("Male")] == 1:
                labels = np.full_like(labels, 255)
            return super().face(values, labels, seed)

    found = world.run(faces, judges, Unfair(), n=None, protocol=GROUPS, amounts=FEW)
    assert world.row(found, "mask_miou@not Male")["share"] > 0.95
    assert abs(world.row(found, "mask_miou@Male")["share"]) < 0.2


def test_failures_are_the_worst_and_named(
    world: Any, faces: PreparedFolder, judges: Judges
) -> None:
    class Lapse(world.Painter):  # type: ignore[name-defined,misc]
        """Never paints Arched_Eyebrows, and forgets one mask."""

        bad = 0

        def face(self, values: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
            values = values.copy()
            values[ATTRIBUTES.index("Arched_Eyebrows")] = 0
            if seed == self.bad:
                labels = np.roll(labels, 1, 0) * 0 + 18 * (labels == 0)
            return super().face(values, labels.astype(np.uint8), seed)

    pipeline = Lapse()
    bad = int(condition_rows(faces, None, 0)[7])
    pipeline.bad = noise_seed(0, bad)
    found = world.run(faces, judges, pipeline, n=None)
    failures = found.shows["adherence"]
    assert failures.masks[0][0] == 7 and failures.masks[0][1] < 0.5 < failures.masks[1][1]
    worst = failures.attributes[0]
    assert worst.name == "Arched_Eyebrows" and worst.score == pytest.approx(0.5)
    asked = found.context.truth[:, ATTRIBUTES.index("Arched_Eyebrows")]
    assert worst.missing == np.flatnonzero(asked == 1)[:3].tolist() and worst.extra == []


def test_an_attribute_that_the_judge_cannot_tell_is_left_out(
    world: Any, faces: PreparedFolder, judges: Judges
) -> None:
    plain = world.run(faces, judges, world.Painter())
    column = ATTRIBUTES.index("Young")
    thresholds = list(judges.classifier.model.config["thresholds"])
    blind = [1e9 if i == column else t for i, t in enumerate(thresholds)]
    judges.classifier.model.register_to_config(thresholds=blind)
    try:
        found = world.run(faces, judges, world.Painter())
        everything = [1e9] * 40
        judges.classifier.model.register_to_config(thresholds=everything)
        dark = world.run(faces, judges, world.Painter())
    finally:
        judges.classifier.model.register_to_config(thresholds=thresholds)
    row = world.row(found, "attribute_bacc")
    assert row["unseen"] == ["Young"] and "Young" not in row["detail"]
    assert len(row["detail"]) == len(world.row(plain, "attribute_bacc")["detail"]) - 1
    rest = [part["score"] for part in row["detail"].values()]
    assert row["score"] == pytest.approx(np.mean(rest)) and min(rest) > 0.9
    row = world.row(dark, "attribute_bacc")
    assert "tells no attribute from chance" in row["note"] and row["score"] == 0.5
