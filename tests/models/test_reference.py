"""References at sampling: exactly off, averaged, checked; and a model that gains one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from facecond.errors import UserError
from facecond.models.evidence import load_evidence
from facecond.models.reference import Reference, reference_tokens
from facecond.models.routing import PRESETS, Layer, Routing, groups, parse_rules, preset
from facecond.pipeline import FacePipeline, load_pipeline
from facecond.training.transfer import take_over

SIZE, SHAPE = 32, (6, 8, 8)


def model_of(
    make_pipeline: Callable[..., FacePipeline],
    route: str = "deadiff",
    combine: str = "sum",
    trained: bool = True,
) -> FacePipeline:
    """A pipeline; with `trained`, queries and values of references that matter."""
    encoder = load_evidence("latents", SIZE, SHAPE, grid=4)
    qformer = {"evidence_shape": list(encoder.config.tokens), "dim": 16, "queries": 3, "heads": 2}
    taught = ("appearance", "geometry", "Blond_Hair")
    options = {
        "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
        "reference": lambda sources: {"reference": qformer, "instructions": taught},
        "route": partial(preset, route, combine=combine),
    }
    made = make_pipeline(options, steps=2, evidence_encoder=encoder)
    if trained:
        generator = torch.Generator().manual_seed(5)
        for part in (made.unet, made.condition_encoder):
            for name, parameter in part.named_parameters():
                if "to_kv.reference" in name or name.endswith("qformer.queries"):
                    parameter.data.normal_(generator=generator)
    return made


def photo(seed: int = 0, count: int = 0) -> np.ndarray:
    shape = (count, SIZE, SIZE, 3) if count else (SIZE, SIZE, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.fixture(scope="module", params=["sum", "joint"])
def pipeline(
    request: pytest.FixtureRequest, make_pipeline: Callable[..., FacePipeline]
) -> FacePipeline:
    return model_of(make_pipeline, combine=request.param)


@pytest.fixture(scope="module")
def summed(make_pipeline: Callable[..., FacePipeline]) -> FacePipeline:
    return model_of(make_pipeline)


def faces(pipe: FacePipeline, *references: Reference, **options: Any) -> np.ndarray:
    return pipe(seeds=[1, 2], reference=references, **options).images.astype(int)


def differ(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.abs(a - b).max() > 1)


def test_weight_zero_and_scale_zero_are_bitwise_without_the_reference(
    pipeline: FacePipeline,
) -> None:
    without = faces(pipeline)
    assert differ(faces(pipeline, Reference(photo())), without)
    assert np.array_equal(faces(pipeline, Reference(photo(), weight=0.0)), without)
    hidden = faces(pipeline, Reference(photo()), guidance={"reference": 0.0})
    assert not differ(hidden, without)


def test_what_is_taken_and_how_strongly_matters(pipeline: FacePipeline) -> None:
    plain = faces(pipeline, Reference(photo()))
    assert differ(plain, faces(pipeline, Reference(photo(), take="geometry")))
    assert differ(plain, faces(pipeline, Reference(photo(), take="Blond_Hair")))
    assert differ(plain, faces(pipeline, Reference(photo(1))))
    assert differ(plain, faces(pipeline, Reference(photo(), weight=2.0)))
    assert differ(plain, faces(pipeline, Reference(photo()), guidance={"reference": 2.0}))


def test_one_reference_each_is_one_reference_for_all_where_they_are_equal(
    pipeline: FacePipeline,
) -> None:
    both = np.stack([photo(3), photo(4)])
    each = faces(pipeline, Reference(both))
    for row, seed in enumerate((3, 4)):
        assert not differ(each[row], faces(pipeline, Reference(photo(seed)))[row])
    with pytest.raises(UserError, match="one or 2"):
        faces(pipeline, Reference(photo(count=3)))


def test_several_references_of_a_source_are_averaged_by_their_weights(
    summed: FacePipeline,
) -> None:
    parts = (summed.condition_encoder, summed.evidence_encoder, summed.first_stage)
    a, b = Reference(photo(0), weight=0.5), Reference(photo(1), weight=1.5)
    one, two, both = (reference_tokens(given, 1, *parts) for given in ([a], [b], [a, b]))
    (source,) = both.tokens
    mean = (one.tokens[source] + 3 * two.tokens[source]) / 4
    torch.testing.assert_close(both.tokens[source], mean)
    assert both.weights == {source: 1.0}
    assert set(reference_tokens([a, Reference(photo(0), "geometry")], 1, *parts).tokens) == {
        "reference:appearance",
        "reference:geometry",
    }


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (Reference(photo(), take="Smiling"), "was not taught"),
        (Reference(photo(), take="apearance"), "Did you mean 'appearance'"),
        (Reference(photo(), weight=9.0), "out of range"),
        (Reference(photo()[:16]), "expected uint8 pictures"),
    ],
)
def test_faults_are_told(summed: FacePipeline, reference: Reference, message: str) -> None:
    with pytest.raises(UserError, match=message):
        faces(summed, reference)


def test_a_model_without_references_says_so(make_pipeline: Callable[..., FacePipeline]) -> None:
    with pytest.raises(UserError, match="not trained with references"):
        faces(make_pipeline(), Reference(photo()))


def test_a_model_gains_a_reference_without_changing_its_outputs(
    make_pipeline: Callable[..., FacePipeline],
) -> None:
    old = model_of(make_pipeline, "all_all", trained=False)
    new = model_of(make_pipeline, trained=False)
    for part in ("unet", "condition_encoder"):
        weights = {k: v + 0.02 for k, v in getattr(old, part).state_dict().items()}
        getattr(old, part).load_state_dict(weights)
        transfer = take_over(getattr(new, part), weights, "old")
        assert all("qformer" in name or "reference" in name for name in transfer.new)
    before = faces(old)
    assert np.array_equal(faces(new), before)
    assert np.array_equal(faces(new, Reference(photo())), before)  # its values begin at zero


def test_a_saved_model_reads_references_as_before(summed: FacePipeline, tmp_path: Path) -> None:
    summed.save_pretrained(tmp_path)
    again = load_pipeline(tmp_path)
    given = Reference(photo())
    assert np.array_equal(faces(again, given), faces(summed, given))
    assert np.array_equal(faces(again), faces(summed))


LAYERS = tuple(Layer(f"l{i}", s, r) for i, (s, r) in enumerate(
    [("down", 16), ("down", 8), ("mid", 8), ("up", 8), ("up", 8), ("up", 16)]
))  # fmt: skip


def test_the_layers_of_appearance_and_geometry_exclude_each_other() -> None:
    assert "deadiff" in PRESETS
    table = preset("deadiff", LAYERS)
    columns = [table.sources.index(f"reference:{kind}") for kind in ("appearance", "geometry")]
    looks, shape = (table.gates()[:, column] > 0 for column in columns)
    assert not (looks & shape).any() and (looks | shape).all() and looks.any() and shape.any()
    assert {LAYERS[i].id for i in np.flatnonzero(shape)} == set(groups(LAYERS)["coarse"])


def test_a_whole_reference_and_its_parts_exclude_each_other() -> None:
    sources = ("reference", "reference:identity")
    rules = parse_rules([{"source": s, "layers": "*"} for s in sources], LAYERS, "test")
    with pytest.raises(UserError, match="its part"):
        Routing("both", LAYERS, rules, sources)
