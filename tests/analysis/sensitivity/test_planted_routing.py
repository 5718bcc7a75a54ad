"""A planted routing is what the interventions find."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from facecond.analysis.sensitivity.analyse import Sensitivity
from facecond.analysis.sensitivity.faces import Condition, Faces
from facecond.models.routing import Layer, Routing, Rule, Window
from facecond.pipeline import FacePipeline

Make = Callable[..., FacePipeline]
Intervene = Callable[..., Sensitivity]
GRADES = (1.0, 0.3, 0.1)


@pytest.mark.parametrize("plant", range(5))
def test_random_plants_are_recovered_in_the_order_of_their_gates(
    plant: int, planted: Make, intervene: Intervene
) -> None:
    draw = np.random.default_rng(plant)
    gates = {source: np.zeros(7) for source in ("attributes", "mask")}
    for row in gates.values():
        row[draw.choice(7, 3, replace=False)] = GRADES
    found = intervene(planted(gates, seed=plant))
    for s, (source, row) in enumerate(gates.items()):
        on = np.argsort(-row)[:3]
        assert found.rank[source] == on.tolist()
        assert not found.unstable[source]
        assert np.argsort(-found.scores["contribution"].overall[s])[:3].tolist() == on.tolist()
        for score in found.scores.values():
            assert (score.cells[s][on] > 0).all()
            assert (score.cells[s][row == 0] == 0.0).all()  # exactly
        for name in ("swap", "contribution"):
            q = found.scores[name].q
            assert q is not None
            assert (q[s][on] < 0.05).all() and (q[s][row == 0] == 1.0).all()


def test_one_layer_alone_has_the_whole_effect(planted: Make, intervene: Intervene) -> None:
    found = intervene(planted({"attributes": [0, 0, 1, 0, 0, 0, 0], "mask": [1] * 7}))
    for name in ("swap", "swap_single", "swap_all_but_one"):
        assert found.scores[name].cells[0, 2] == pytest.approx(1.0, rel=2e-3)
    assert (found.effect > 0).all()
    assert found.selectivity is not None and found.selectivity.argmax() == 2


@pytest.mark.parametrize("combine", ["joint", "concat"])
def test_other_ways_to_combine_are_measured_too(
    combine: str, planted: Make, intervene: Intervene
) -> None:
    gates = {"attributes": [1, 0, 0, 1, 0, 0, 0], "mask": [1, 1, 1, 0, 0, 0, 0]}
    found = intervene(planted(gates, combine=combine))
    assert sorted(found.rank["attributes"]) == [0, 3]
    assert sorted(found.rank["mask"]) == [0, 1, 2]
    assert (found.scores["contribution"].cells[0, [1, 2, 4, 5, 6]] == 0.0).all()


def test_parts_of_a_source_are_told_apart(
    planted: Make, intervene: Intervene, layers: tuple[Layer, ...]
) -> None:
    ids = [layer.id for layer in layers]
    rules = (
        Rule("attributes:geometry", tuple(ids[:2])),
        Rule("attributes:appearance", tuple(ids[4:6])),
    )
    routing = Routing("parts", layers, rules, ("attributes:geometry", "attributes:appearance"))
    found = intervene(planted(routing=routing))
    assert sorted(found.rank["attributes:geometry"]) == [0, 1]
    assert sorted(found.rank["attributes:appearance"]) == [4, 5]
    assert found.selectivity is None


def test_a_window_opens_only_its_own_noise_levels(
    planted: Make, intervene: Intervene, layers: tuple[Layer, ...]
) -> None:
    ids = tuple(layer.id for layer in layers)
    noisy = Window(high=0.0)  # tau 0.5 and above: the second of two bins
    rules = (Rule("mask", ids), Rule("attributes", ids[:3], window=noisy))
    found = intervene(planted(routing=Routing("window", layers, rules)))
    swap = found.scores["swap"].cells[0]
    assert (swap[:, 0] == 0.0).all() and (swap[:3, 1] > 0).all()
    assert found.live[0, :3].tolist() == [[False, True]] * 3
    assert found.effect[0, 0] == 0.0 and sorted(found.rank["attributes"]) == [0, 1, 2]


def test_a_source_that_is_gated_off_gives_zeros_and_no_ranking(
    planted: Make, intervene: Intervene
) -> None:
    found = intervene(planted({"attributes": [0] * 7, "mask": [1] * 7}))
    for score in found.scores.values():
        assert (score.cells[0] == 0.0).all() and (score.overall[0] == 0.0).all()
        assert score.q is None or (score.q[0] == 1.0).all()
    assert found.rank["attributes"] == [] and len(found.order["attributes"]) == 7
    assert not found.unstable["attributes"] and len(found.rank["mask"]) == 7
    assert found.warnings == ["attributes: every gate is 0, so nothing is ranked"]


@pytest.mark.parametrize("seed", range(2))
def test_a_sham_in_the_place_of_the_swap_gives_no_excess(
    seed: int, planted: Make, intervene: Intervene, faces: Faces
) -> None:
    pipeline = planted(seed=seed)
    real, sham = intervene(pipeline), intervene(pipeline, faces.sham(seed))
    assert all(len(real.rank[source]) == 7 for source in real.rank)
    assert not any(sham.rank.values())
    assert [text for text in sham.warnings if "no layer beats its control" in text]
    for found, low, high in ((real, 1.5, np.inf), (sham, 0.7, 1.4)):
        score = found.scores["swap_single"]
        assert score.control is not None
        ratio = score.cells.mean((1, 2)) / score.control.mean((1, 2))
        assert (low < ratio).all() and (ratio < high).all()


def test_the_order_of_faces_and_their_batches_do_not_matter(
    planted: Make, intervene: Intervene, faces: Faces
) -> None:
    order = np.random.default_rng(0).permutation(len(faces.rows))
    conditions = [
        Condition(c.attributes[order], c.masks[order]) for c in (faces.own, faces.other, faces.same)
    ]
    shuffled = Faces(faces.rows[order], faces.images[order], *conditions)
    pipeline = planted()
    first, second = intervene(pipeline), intervene(pipeline, shuffled)
    assert first.rank == second.rank
    for name, score in first.scores.items():
        assert np.allclose(score.cells, second.scores[name].cells, rtol=1e-4, atol=1e-7)
