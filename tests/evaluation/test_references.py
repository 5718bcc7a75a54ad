"""What is taken from a reference, on planted pipelines that take too much, too little, or both."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from facecond.data.factors import Factors
from facecond.data.prepared import PreparedFolder
from facecond.data.writing import PreparedWriter
from facecond.errors import UserError
from facecond.evaluation.context import Amounts
from facecond.evaluation.counts import image_counts
from facecond.evaluation.judges import Judges
from facecond.evaluation.protocol import PROTOCOLS, Protocol
from facecond.evaluation.reference_pairs import face_pairs
from facecond.evaluation.reference_scores import LEAKS, LOWER, SCORES
from facecond.evaluation.references import REFERENCES, instructions, taught
from facecond.evaluation.tables import meaning
from facecond.labels import ATTRIBUTES
from facecond.models.qformer import source_of
from facecond.models.reference import Reference

BLOCKS, SIDE = 6, 3
GEOMETRY, APPEARANCE = ("Arched_Eyebrows", "Male"), ("5_o_Clock_Shadow", "Young")
PLAN = Protocol("study", None, {"references": REFERENCES}, Amounts(references=None))


@pytest.fixture(scope="module")
def factored(world: Any, tmp_path_factory: pytest.TempPathFactory) -> PreparedFolder:
    """Blocks of 3 geometries (colours of the quarters) x 3 appearances (strips at the edges)."""
    root = tmp_path_factory.mktemp("factored") / "faces"
    generator = np.random.default_rng(1)
    painter = world.Painter()
    drawn = []
    for block in range(BLOCKS):
        masks = [generator.choice((0, 1, 13, 18), (2, 2)) for _ in range(SIDE)]
        shapes = generator.integers(0, 2, (SIDE, 2))
        looks = np.array([(0, 0), (1, 0), (0, 1), (1, 1)])[generator.permutation(4)[:SIDE]]
        for geometry, appearance in np.ndindex(SIDE, SIDE):
            values = np.full(40, -1, np.int8)
            values[[ATTRIBUTES.index(name) for name in GEOMETRY]] = shapes[geometry]
            values[[ATTRIBUTES.index(name) for name in APPEARANCE]] = looks[appearance]
            mask = masks[geometry].astype(np.uint8).repeat(16, 0).repeat(16, 1)
            name = f"{len(drawn):03d}"
            image = painter.face(values, mask, len(drawn))
            factors = Factors(f"g{block}{geometry}", f"a{block}{appearance}")
            drawn.append((name, image, mask, values, factors))
    factors = {name: each for name, *_, each in drawn}
    with PreparedWriter(root, world.size, "rendered", factors=factors) as writer:
        for name, image, mask, values, _ in drawn:
            writer.add(name, image, mask, values, "test")
    return PreparedFolder.open(root)


def taker(world: Any, faces: PreparedFolder, **habits: bool) -> Any:
    """A pipeline that takes what it is told to from a reference.

    Habits: `copies` takes everything whatever is asked, `deaf` takes nothing.
    """

    class Taker(world.Painter):  # type: ignore[name-defined,misc]
        condition_encoder = SimpleNamespace(taught=("appearance", "geometry"))
        unet = SimpleNamespace(routed={"reference:appearance", "reference:geometry"})

        def __call__(
            self, attributes: np.ndarray, mask: np.ndarray, seeds: Sequence[int], **options: Any
        ) -> SimpleNamespace:
            attributes, mask = attributes.copy(), mask.copy()
            for reference in options.get("reference", ()):
                self.take(reference, attributes, mask)
            return super().__call__(attributes, mask, seeds, **options)

        def take(self, reference: Reference, attributes: np.ndarray, mask: np.ndarray) -> None:
            for i, image in enumerate(reference.image):
                row = rows[image.tobytes()]
                taken = {"appearance": APPEARANCE, "geometry": GEOMETRY}[reference.take]
                taken = GEOMETRY + APPEARANCE if habits.get("copies") else taken
                columns = [ATTRIBUTES.index(name) for name in taken]
                if not habits.get("deaf"):
                    attributes[i, columns] = faces.attributes[row, columns]
                    if reference.take == "geometry" or habits.get("copies"):
                        mask[i] = faces.mask(row)

    rows = {faces.image(row).tobytes(): row for row in range(len(faces.names))}
    return Taker()


@pytest.fixture(scope="module")
def found(world: Any, factored: PreparedFolder, judges: Judges) -> Any:
    """Habit -> evaluation, each made once."""
    made: dict[str, Any] = {}

    def evaluate(habit: str) -> Any:
        if habit not in made:
            pipeline = taker(world, factored, **{habit: True})
            made[habit] = world.run(factored, judges, pipeline, n=None, protocol=PLAN)
        return made[habit]

    return evaluate


def test_pairs_on_planted_factors_obey_their_definition(factored: PreparedFolder) -> None:
    rows = factored.indices("test")
    pairs = face_pairs(factored, rows, 0)
    assert len(pairs) == len(rows) == BLOCKS * SIDE**2
    assert len(np.unique(pairs.groups)) == BLOCKS
    assert factored.factors is not None

    def of(row: int) -> Factors:
        assert factored.factors is not None
        return factored.factors[factored.names[row]]

    for target, reference, look, mirrored in zip(
        pairs.targets, pairs.references, pairs.looks, pairs.mirrored_looks, strict=True
    ):
        one, other = of(target), of(reference)
        assert one.geometry != other.geometry and one.appearance != other.appearance
        assert (of(look).geometry, of(look).appearance) == (one.geometry, other.appearance)
        assert (of(mirrored).geometry, of(mirrored).appearance) == (other.geometry, one.appearance)
        assert np.array_equal(factored.mask(look), factored.mask(target))
    again, other = face_pairs(factored, rows, 0), face_pairs(factored, rows, 1)
    assert np.array_equal(again.references, pairs.references)
    assert not np.array_equal(other.references, pairs.references)
    asked = pairs.asked(factored, "appearance")
    assert (asked[:, ATTRIBUTES.index("Young")] == -1).all()
    assert (asked[:, ATTRIBUTES.index("Arched_Eyebrows")] >= 0).all()
    looks = pairs.asked(factored, "geometry")
    assert (looks[:, ATTRIBUTES.index("Young")] >= 0).all() and not (looks[:, 20] >= 0).any()
    assert (pairs.asked(factored, "both") == -1).all()
    assert np.array_equal(pairs.source("both", "geometry"), pairs.targets)
    for asking, take in (("both", "appearance"), ("geometry", "geometry")):
        assert np.array_equal(pairs.source(asking, take), pairs.references)


def test_real_pairs_are_other_persons_who_can_be_judged(world: Any, tmp_path: Path) -> None:
    painter = world.Painter()
    values = np.ones(40, np.int8)
    mask = np.zeros((world.size, world.size), np.uint8)
    with PreparedWriter(
        tmp_path / "faces", world.size, "folder", identities={"0": "a", "1": "a", "2": "b"}
    ) as writer:
        for i in range(5):
            known = None if i == 3 else mask
            writer.add(f"{i}", painter.face(values, mask, i), known, values, "test")
    folder = PreparedFolder.open(tmp_path / "faces")
    seen: set[tuple[int, int]] = set()
    for seed in range(20):
        pairs = face_pairs(folder, [0, 1, 2, 4], seed)
        assert not pairs.planted and np.array_equal(pairs.looks, pairs.references)
        assert np.array_equal(pairs.layouts, pairs.targets)
        seen |= set(zip(pairs.targets.tolist(), pairs.references.tolist(), strict=True))
    everyone = {0, 1, 2, 4}
    assert seen == {(a, b) for a in everyone for b in everyone - {a}} - {(0, 1), (1, 0)}


def test_one_who_takes_what_is_asked_reaches_the_ceilings(found: Any, world: Any) -> None:
    honest = found("honest")
    for metric in ("appearance_transfer", "layout_adherence", "geometry_transfer",
                   "appearance_adherence", "both_layout", "both_appearance"):  # fmt: skip
        scores = world.row(honest, metric)
        assert scores["share"] > 0.9, metric
        assert scores["low"] <= scores["score"] <= scores["high"]
        assert (scores["n"], scores["groups"]) == (BLOCKS * SIDE**2, BLOCKS)
    for metric in ("layout_leak", "appearance_leak"):
        assert abs(world.row(honest, metric)["score"]) < 0.05, metric
    assert world.row(honest, "disputed_leak")["score"] < 0.05
    # Half of the attributes are right by chance where nothing says what they are.
    assert world.row(honest, "appearance_transfer_without")["score"] == pytest.approx(0.5, abs=0.2)
    assert world.row(honest, "appearance_gain")["score"] > 0.25
    assert world.row(honest, "geometry_gain")["low"] > 0.3
    near, far = (world.row(honest, f"truth_distance{end}")["score"] for end in ("", "_without"))
    assert near < far < world.row(honest, "truth_distance")["floor"]


def test_a_copy_of_the_reference_leaks_all_of_it(found: Any, world: Any) -> None:
    copies = found("copies")
    assert world.row(copies, "appearance_transfer")["share"] > 0.9
    leak = world.row(copies, "layout_leak")
    assert leak["score"] == pytest.approx(leak["floor"], abs=0.05) and leak["better"] == "lower"
    assert world.row(copies, "disputed_leak")["score"] > 0.95
    assert world.row(copies, "layout_adherence")["score"] < 0.6
    assert abs(world.row(copies, "layout_leak_without")["score"]) < 0.05
    leak = world.row(copies, "appearance_leak")
    assert leak["score"] == pytest.approx(leak["floor"], abs=0.1)
    honest = found("honest")
    for gain in LEAKS.values():
        assert world.row(copies, gain)["low"] > 0.02, gain
    identity = [world.row(each, "identity_leak")["score"] for each in (honest, copies)]
    assert identity[0] < identity[1] - 0.05


def test_one_who_ignores_references_gains_nothing_and_leaks_nothing(found: Any, world: Any) -> None:
    deaf = found("deaf")
    for metric in ("appearance_gain", "geometry_gain", *LEAKS.values()):
        row = world.row(deaf, metric)
        assert row["score"] == pytest.approx(0, abs=1e-12) and row["low"] == row["high"]
    assert abs(world.row(deaf, "layout_leak")["score"]) < 0.05
    assert world.row(deaf, "layout_adherence")["share"] > 0.9
    assert abs(world.row(deaf, "geometry_transfer")["share"]) < 0.25


def test_without_references_the_line_to_cross_is_measured(
    world: Any, factored: PreparedFolder, judges: Judges, found: Any
) -> None:
    plain = world.run(factored, judges, world.Painter(), n=None, protocol=PLAN)
    names = {row["metric"] for row in plain.rows}
    assert not {name for name in names if name.endswith(("_without", "_gain"))}
    assert {row["take"] for row in plain.rows} == {None}
    deaf = found("deaf")
    for metric in ("appearance_transfer", "layout_leak", "geometry_transfer"):
        assert world.row(plain, metric)["score"] == world.row(deaf, metric)["score"]
    with pytest.raises(UserError, match="not trained with references") as error:
        world.run(factored, judges, world.Painter(), protocol="references", n=None)
    assert "\n" not in str(error.value)


def test_every_row_has_a_score_a_meaning_and_its_counts(found: Any) -> None:
    honest = found("honest")
    rows = {row["metric"]: row for row in honest.rows}
    assert {name.removesuffix("_without") for name in rows} == set(SCORES)
    assert set(LOWER) <= set(SCORES)
    arrays = image_counts(honest)
    for metric, row in rows.items():
        score = SCORES[metric.removesuffix("_without")]
        assert float(score(arrays[f"taken_{metric}"].sum(0))) == pytest.approx(row["score"]), metric
        assert meaning(metric), metric
        assert row["better"] == ("lower" if metric.removesuffix("_without") in LOWER else "higher")


def test_instructions_are_those_that_were_taught() -> None:
    def pipeline(*instructions: str, off: Sequence[str] = ()) -> Any:
        encoder = SimpleNamespace(taught=instructions)
        routed = {source_of(take) for take in instructions} - set(off)
        return SimpleNamespace(condition_encoder=encoder, unet=SimpleNamespace(routed=routed))

    taught_both = pipeline("appearance", "geometry")
    assert instructions(taught_both, "geometry") == ("geometry",)
    assert instructions(taught_both, "both") == ("appearance", "geometry")
    assert instructions(pipeline("everything"), "geometry") == ("everything",)
    assert instructions(pipeline("everything"), "both") == ()
    assert instructions(pipeline("appearance"), "geometry") == ()
    assert instructions(pipeline("appearance"), "both") == ()
    dark = pipeline("appearance", "geometry", off=["reference:geometry"])
    assert taught(dark) == ("appearance",)
    assert taught(pipeline()) == taught(SimpleNamespace()) == ()
    assert "references" in PROTOCOLS["full"].probes
