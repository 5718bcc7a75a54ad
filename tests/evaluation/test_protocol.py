"""The protocol on planted pipelines: one that knows the answer, one that does not listen."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from facecond.data.prepared import PreparedFolder
from facecond.errors import UserError
from facecond.evaluation.context import Amounts, Probe
from facecond.evaluation.judges import Judge, Judges
from facecond.evaluation.protocol import PROTOCOLS, Protocol
from facecond.labels import ATTRIBUTES
from facecond.models.judges import FaceParser

COUNTED = ("mask_miou", "pixel_accuracy", "attribute_bacc", "attribute_f1")


def test_real_pictures_reach_the_ceiling_exactly(
    world: Any, faces: PreparedFolder, judges: Judges
) -> None:
    found = world.run(faces, judges, world.Mirror(faces), protocol="quick")
    for metric in COUNTED:
        scores = world.row(found, metric)
        assert scores["score"] == scores["ceiling"] > scores["floor"] + 0.2, metric
        assert scores["share"] == 1
        assert scores["low"] <= scores["score"] <= scores["high"]
        assert scores["n"] == 50
    for metric in ("frechet_judge", "frechet_judge_reconstruction"):
        score = world.row(found, metric)["score"]
        assert score == pytest.approx(world.row(found, "frechet_judge_real")["score"], rel=1e-3)
    assert set(world.row(found, "mask_miou")["detail"]) == {"background", "skin", "hair", "cloth"}
    attributes = world.row(found, "attribute_bacc")
    assert set(attributes["detail"]) == set(world.strips)
    assert set(attributes["skipped"]) == set(ATTRIBUTES) - set(world.strips)


def test_the_ceiling_does_not_depend_on_the_model(
    world: Any, faces: PreparedFolder, judges: Judges
) -> None:
    good, bad = (
        world.run(faces, judges, pipeline)
        for pipeline in (world.Painter(), world.Painter(deaf=True))
    )
    for metric in COUNTED:
        assert world.row(good, metric)["ceiling"] == world.row(bad, metric)["ceiling"]
        assert world.row(good, metric)["score"] > world.row(bad, metric)["score"] + 0.2


def test_a_deaf_pipeline_stays_at_the_floor(
    world: Any, faces: PreparedFolder, judges: Judges
) -> None:
    found = world.run(faces, judges, world.Painter(deaf=True))
    for metric in COUNTED:
        assert abs(world.row(found, metric)["share"]) < 0.25, metric
    assert world.row(found, "attribute_bacc")["floor"] == pytest.approx(0.5, abs=0.15)


def test_shuffled_conditions_are_the_floor(
    world: Any, faces: PreparedFolder, judges: Judges
) -> None:
    """A pipeline that answers each condition with the picture of its partner scores what the
    shuffled pairing of the mirror scores."""
    mirror = world.Mirror(faces)
    plain = world.run(faces, judges, mirror)
    rows, partner = plain.indices, plain.context.partner
    swapped = world.Mirror(faces)
    # The floor compares sample i with the condition of partner[i].
    for place, other in enumerate(partner):
        seed = next(s for s, row in mirror.row_of.items() if row == rows[other])
        swapped.row_of[seed] = int(rows[place])
    found = world.run(faces, judges, swapped)
    for metric in COUNTED:
        floor = world.row(plain, metric)["floor"]
        assert world.row(found, metric)["score"] == pytest.approx(floor, abs=1e-12), metric


def test_the_batch_size_changes_nothing(world: Any, faces: PreparedFolder, judges: Judges) -> None:
    one, two = (
        world.run(faces, judges, world.Painter(), n=30, batch_size=size, protocol="quick")
        for size in (30, 7)
    )
    assert (one.samples == two.samples).all()
    for first, second in zip(one.rows, two.rows, strict=True):
        assert first["score"] == pytest.approx(second["score"], rel=1e-4)


def test_settings_reach_the_pipeline_and_the_rows(
    world: Any, faces: PreparedFolder, judges: Judges
) -> None:
    pipeline = world.Painter()
    options = {"guidance": {"mask": 3.0}, "num_inference_steps": 7}
    found = world.run(faces, judges, pipeline, n=20, batch_size=16, seed=5, **options)
    assert [len(call["seeds"]) for call in pipeline.calls] == [16, 4]
    for name, value in options.items():
        assert pipeline.calls[0][name] == value
    seeds = [seed for call in pipeline.calls for seed in call["seeds"]]
    assert len(set(seeds)) == 20
    settings = found.rows[0]
    assert (settings["seed"], settings["guidance"]) == (5, {"mask": 3.0})
    assert (settings["num_inference_steps"], settings["protocol"]) == (7, "adherence")
    assert settings["data"] == faces.data_hash
    assert settings["parser"] == judges.hashes()["parser"] != settings["classifier"]
    defaults = world.run(faces, judges, world.Painter(), n=20).provenance
    assert (defaults["guidance"], defaults["num_inference_steps"]) == ({"mask": 2.0}, 12)


def test_samples_are_kept_on_request(
    world: Any, faces: PreparedFolder, judges: Judges, tmp_path: Path
) -> None:
    found = world.run(
        faces, judges, world.Painter(), n=20, keep=5, images_out=tmp_path / "images", batch_size=3
    )
    side = world.size
    assert found.samples.shape == (5, side, side, 3) and found.parsed.shape == (5, side, side)
    files = {path.stem for path in (tmp_path / "images").iterdir()}
    assert files == {faces.names[i] for i in found.indices}
    first = Image.open(tmp_path / "images" / f"{faces.names[found.indices[0]]}.png")
    assert (np.array(first) == found.samples[0]).all()
    assert "synthetic face" in first.info["Description"]


def test_another_size_is_a_user_error(world: Any, faces: PreparedFolder, judges: Judges) -> None:
    wrong = Judges(Judge(FaceParser(width=8)), judges.classifier)
    with pytest.raises(UserError, match="the parser is for 64 px, these faces have 32 px"):
        world.run(faces, wrong, world.Painter(), n=10)


def test_two_judges_stand_side_by_side(
    world: Any, faces: PreparedFolder, judges: Judges, other_judges: Judges
) -> None:
    alone = world.run(faces, judges, world.Painter())
    found = world.run(faces, [judges, other_judges], world.Painter())
    second = world.run(faces, other_judges, world.Painter())
    for metric in COUNTED:
        both = world.row(found, metric)
        assert both["score"] == world.row(alone, metric)["score"]
        for key in ("score", "ceiling", "floor"):
            assert both["second"][key] == world.row(second, metric)[key]
        gap = both["difference"]
        assert gap["score"] == pytest.approx(both["score"] - both["second"]["score"])
        assert gap["low"] <= gap["score"] + 1e-9 and gap["score"] - 1e-9 <= gap["high"]
    assert found.provenance["second_judges"] == [other_judges.hashes()]


def test_papers_give_the_mask_alone(world: Any, faces: PreparedFolder, judges: Judges) -> None:
    asked: list[np.ndarray] = []

    class Noting(world.Painter):  # type: ignore[name-defined,misc]
        def face(self, values: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
            asked.append(values)
            return super().face(values, labels, seed)

    found = world.run(faces, judges, Noting(), protocol="papers", n=None)
    assert (np.stack(asked) == -1).all()
    assert found.provenance["n"] == world.test_rows - 1  # fewer than 2,000 are there
    metrics = {row["metric"] for row in found.rows}
    assert {"mask_miou", "frechet_judge_to_test"} <= metrics
    assert not any(metric.startswith("attribute") for metric in metrics)
    assert world.row(found, "mask_miou")["share"] > 0.95
    to_test = world.row(world.run(faces, judges, world.Mirror(faces), protocol="papers"),
                        "frechet_judge_to_test")  # fmt: skip
    assert to_test["score"] == pytest.approx(0, abs=1e-3)
    assert world.row(found, "frechet_judge_to_test")["score"] > 0.01


def test_a_probe_without_enough_data_is_noted(
    world: Any, faces: PreparedFolder, judges: Judges
) -> None:
    found = world.run(faces, judges, world.Painter(), n=3, protocol="full")
    notes = {row["metric"]: row["note"] for row in found.rows if row.get("note")}
    assert "5 faces with it" in notes["attribute_bacc"]
    assert notes["spread"] == "5 neighbours need more than 5 pictures"
    assert notes["selectivity"] == "no attribute to turn, or fewer than two conditions"
    assert notes["groups"] == "no group by Male and Young has 8 conditions"
    assert world.row(found, "mask_miou")["score"] > 0.9
    left_out = {"diversity", "references"}  # no distance, no references
    assert {row["probe"] for row in found.rows} == set(PROTOCOLS["full"].probes) - left_out


def test_pictures_are_shown_whatever_the_probes_read(
    world: Any, faces: PreparedFolder, judges: Judges
) -> None:
    nothing = Protocol("nothing", None, {})
    found = world.run(faces, judges, world.Painter(), n=4, protocol=nothing, keep=3)
    assert found.rows == [] and len(found.samples) == len(found.parsed) == 3


def test_a_score_reads_only_what_its_probe_measured(
    world: Any, faces: PreparedFolder, judges: Judges
) -> None:
    """The other processes have gone when the first one scores: nobody would answer it."""
    adherence, spread = (PROTOCOLS["full"].probes[name] for name in ("adherence", "spread"))
    wrong = Protocol("wrong", None, {"spread": Probe(adherence.measure, spread.score)})
    with pytest.raises(RuntimeError, match="'reference' is read by a score"):
        world.run(faces, judges, world.Painter(), n=8, protocol=wrong)


class Mortal:
    """A planted pipeline that dies at its k-th call."""

    def __init__(self, pipeline: Any, calls: int) -> None:
        self.pipeline, self.left = pipeline, calls

    def __getattr__(self, name: str) -> Any:
        return getattr(self.pipeline, name)

    def __call__(self, **asked: Any) -> SimpleNamespace:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        answer: SimpleNamespace = self.pipeline(**asked)
        return answer


def test_a_killed_evaluation_goes_on(
    world: Any, faces: PreparedFolder, judges: Judges, tmp_path: Path
) -> None:
    probes = {name: PROTOCOLS["full"].probes[name] for name in ("adherence", "selectivity")}
    options = {"protocol": Protocol("short", None, probes), "n": 20, "batch_size": 20}
    options |= {"amounts": Amounts(turned=4, swapped=4), "unfinished": tmp_path / "unfinished"}
    whole = world.Painter()
    expected = world.run(faces, judges, whole, **options | {"unfinished": None})
    with pytest.raises(KeyboardInterrupt):
        world.run(faces, judges, Mortal(world.Painter(), 2), **options)
    rest = world.Painter()
    found = world.run(faces, judges, rest, **options)
    assert found.rows == expected.rows
    assert len(rest.calls) == len(whole.calls) - 1  # the samples; the turned ones were not done
    again = world.Painter()
    world.run(faces, judges, again, **options)
    assert not again.calls
    other = world.Painter()
    world.run(faces, judges, other, **options | {"seed": 1})  # another evaluation: all anew
    assert len(other.calls) == len(whole.calls)
    found.context.parts.clear()
    assert not (tmp_path / "unfinished").exists()
