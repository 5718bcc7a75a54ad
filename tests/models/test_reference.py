"""References at sampling: exactly off, averaged, checked; and a model that gains one."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from facecond.errors import UserError
from facecond.models.evidence import load_evidence
from facecond.models.judges import AttributeClassifier
from facecond.models.reference import Reference
from facecond.models.routing import (
    COMBINES,
    PRESETS,
    Layer,
    Routing,
    groups,
    parse_rules,
    preset,
    presets,
)
from facecond.pipeline import FacePipeline, load_pipeline
from facecond.sampling.conditions import reader_of
from facecond.training.transfer import take_over

SIZE, SHAPE = 32, (6, 8, 8)


def model_of(
    make_pipeline: Callable[..., FacePipeline],
    route: str = "deadiff",
    combine: str = "sum",
    trained: bool = True,
    evidence: str = "latents",
    seed: int = 5,
) -> FacePipeline:
    """A pipeline; with `trained`, queries and values of references that matter."""
    encoder = load_evidence(evidence, SIZE, SHAPE, grid=4)
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
        generator = torch.Generator().manual_seed(seed)
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


@pytest.fixture(scope="module", params=["latents", "classifier"])
def read_by(
    request: pytest.FixtureRequest,
    make_pipeline: Callable[..., FacePipeline],
    tmp_path_factory: pytest.TempPathFactory,
) -> FacePipeline:
    """Pipelines that see references through an encoder without and with weights."""
    if request.param == "latents":
        return model_of(make_pipeline)
    path = tmp_path_factory.mktemp("classifier")
    AttributeClassifier(width=4, image_size=32, feature_size=8).eval().save_pretrained(path)
    return model_of(make_pipeline, evidence=f"classifier:{path}")


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
    read = reader_of(summed)
    a, b = Reference(photo(0), weight=0.5), Reference(photo(1), weight=1.5)
    one, two, both = (read(given, 1) for given in ([a], [b], [a, b]))
    (source,) = both.tokens
    mean = (one.tokens[source] + 3 * two.tokens[source]) / 4
    torch.testing.assert_close(both.tokens[source], mean)
    assert set(read([a, Reference(photo(0), "geometry")], 1).tokens) == {
        "reference:appearance",
        "reference:geometry",
    }


@pytest.mark.parametrize(
    ("weights", "gate"),
    [((0.8,), 0.8), ((0.8, 0.8), 0.8), ((1.0, 0.0), 1.0), ((1.0, 1e-6), 1.0), ((0.5, 1.5), 1.25)],
)
def test_a_weight_that_goes_to_zero_becomes_as_without_it(
    summed: FacePipeline, weights: tuple[float, ...], gate: float
) -> None:
    given = [Reference(photo(), weight=weight) for weight in weights]
    found = reader_of(summed)(given, 1).weights
    assert found == {"reference:appearance": pytest.approx(gate, abs=1e-5)}


def test_a_weaker_model_reads_references_itself(
    make_pipeline: Callable[..., FacePipeline], summed: FacePipeline
) -> None:
    others = [model_of(make_pipeline, seed=seed) for seed in (6, 7)]
    others[1].unet = others[0].unet  # they differ in their Q-Formers alone
    given = {"guidance": {"weaker": 3.0}}
    drawn = [faces(summed, Reference(photo()), weaker=weaker, **given) for weaker in others]
    assert differ(*drawn)
    read = reader_of(others[0])([Reference(photo())], 1).tokens["reference:appearance"]
    assert not torch.equal(read, reader_of(summed)([Reference(photo())], 1).tokens[
        "reference:appearance"])  # fmt: skip


def test_a_weaker_model_is_without_the_references_that_it_does_not_know(
    make_pipeline: Callable[..., FacePipeline], summed: FacePipeline
) -> None:
    plain = model_of(make_pipeline, "all_all")
    drawn = faces(summed, Reference(photo()), weaker=plain, guidance={"weaker": 3.0})
    assert differ(drawn, faces(summed, Reference(photo())))
    alike = model_of(make_pipeline)
    same = faces(summed, Reference(photo()), weaker=alike, guidance={"weaker": 3.0})
    assert not differ(same, faces(summed, Reference(photo())))  # no difference to lead along
    alike.use_routing("all_all")
    hidden = faces(summed, Reference(photo()), weaker=alike, guidance={"weaker": 3.0})
    assert differ(hidden, same)


def test_a_routing_without_the_source_is_told(make_pipeline: Callable[..., FacePipeline]) -> None:
    pipe = model_of(make_pipeline)
    pipe.use_routing("all_all")
    without = faces(pipe)
    with pytest.raises(UserError, match="leads 'reference:appearance' to no layer"):
        faces(pipe, Reference(photo()))
    assert np.array_equal(faces(pipe, Reference(photo(), weight=0.0)), without)


def test_a_picture_is_a_reference_and_a_list_is_several(summed: FacePipeline) -> None:
    def draw(given: Any) -> np.ndarray:
        return summed(seeds=[1, 2], reference=given).images

    a, b = photo(3), photo(4)
    assert np.array_equal(draw(a), draw(Reference(a)))
    assert np.array_equal(draw([a, b]), draw([Reference(a), Reference(b)]))
    assert np.array_equal(draw(np.stack([a, b])), draw(Reference([a, b])))
    assert np.array_equal(draw(None), draw(()))
    for wrong, message in [([a, b[:16]], "expected pictures"), ("face.jpg", "got <U1")]:
        with pytest.raises(UserError, match=message):
            draw(wrong)
    with pytest.raises(UserError, match="differ in size"):
        Reference([a, b[:16]])


def test_as_many_faces_as_reference_pictures(summed: FacePipeline) -> None:
    three = photo(count=3)
    assert len(summed(reference=three).images) == 3
    twice = summed(reference=three, num_images_per_condition=2).images
    beside = three[[0, 0, 1, 1, 2, 2]]  # the copies of a condition lie side by side
    assert np.array_equal(twice, summed(reference=beside, seeds=range(6)).images)


@pytest.mark.parametrize("kind", [np.uint16, np.dtype(">u2"), np.float32, np.float64])
def test_pictures_of_more_bits_are_rounded_to_eight(kind: Any) -> None:
    face = photo()
    scale = 257 if np.dtype(kind).kind == "u" else 1 / 255
    assert np.array_equal(Reference((face * np.float64(scale)).astype(kind)).image, face)
    for wrong in (face.astype(np.int64), face.astype(np.float32), np.full_like(face, 2.0, float)):
        with pytest.raises(UserError, match=r"floats from 0 to 1, got \w+ from"):
            Reference(wrong)


def test_parts_that_read_references_can_be_offloaded(read_by: FacePipeline) -> None:
    given, plain, woken = Reference(photo()), faces(read_by, Reference(photo())), []
    offloaded = copy.deepcopy(read_by)
    offloaded.enable_model_cpu_offload(device="cpu")
    for name, part in offloaded.components.items():
        if hook := getattr(part, "_hf_hook", None):
            wake = hook.pre_forward
            hook.pre_forward = lambda *a, wake=wake, name=name, **k: (
                woken.append(name), wake(*a, **k)
            )[1]  # fmt: skip
    offloaded.condition_encoder.qformer.register_forward_pre_hook(
        lambda *_: woken.append("qformer")
    )
    assert np.array_equal(faces(offloaded, given), plain)
    owner = woken.index("qformer") - 1
    assert woken[owner] == "condition_encoder" and woken[0] == "first_stage"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_references_are_read_in_half_precision(read_by: FacePipeline, dtype: torch.dtype) -> None:
    half = copy.deepcopy(read_by).to(dtype)
    found, whole = (reader_of(p)([Reference(photo())], 1) for p in (half, read_by))
    (tokens,), (exact,) = found.tokens.values(), whole.tokens.values()
    assert tokens.dtype == dtype and found.strange == whole.strange == ()
    assert (tokens.float() - exact).abs().mean() < 0.1 * exact.abs().mean()
    assert half(seeds=[1], reference=photo()).images.shape == (1, SIZE, SIZE, 3)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (Reference(photo(), take="Smiling"), "was not taught"),
        (Reference(photo(), take="apearance"), "Did you mean 'appearance'"),
        (Reference(photo(), weight=9.0), "out of range"),
        (Reference(photo()[:16]), "expected pictures of 32 x 32"),
    ],
)
def test_faults_are_told(summed: FacePipeline, reference: Reference, message: str) -> None:
    with pytest.raises(UserError, match=message):
        faces(summed, reference)


def test_a_model_without_references_says_so(make_pipeline: Callable[..., FacePipeline]) -> None:
    with pytest.raises(UserError, match="not trained with references"):
        faces(make_pipeline(), Reference(photo()))


@pytest.mark.parametrize("combine", COMBINES)
def test_a_model_gains_a_reference_without_changing_its_outputs(
    make_pipeline: Callable[..., FacePipeline], combine: str
) -> None:
    old = model_of(make_pipeline, "all_all", combine, trained=False)
    new = model_of(make_pipeline, combine=combine, trained=False)
    for part in ("unet", "condition_encoder"):
        weights = {k: v + 0.02 for k, v in getattr(old, part).state_dict().items()}
        getattr(old, part).load_state_dict(weights)
        transfer = take_over(getattr(new, part), weights, "old")
        assert all("qformer" in name or "reference" in name for name in transfer.new)
    before, after, given = (
        pipe(seeds=[1, 2], output_type="latent", reference=reference).images
        for pipe, reference in ((old, None), (new, None), (new, photo()))
    )
    assert torch.equal(after, before)
    # Its values begin at zero: nothing in a sum; where sources share a softmax it takes some of it.
    assert torch.equal(given, before) is (combine == "sum")


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


def test_what_the_preset_promises_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    *others, geometry = presets.RULES["deadiff"]
    shared = [*others, geometry | {"layers": "*"}]
    monkeypatch.setitem(presets.RULES, "deadiff", shared)
    with pytest.raises(AssertionError, match="share a layer"):
        preset("deadiff", LAYERS)


def test_a_whole_reference_and_its_parts_exclude_each_other() -> None:
    sources = ("reference", "reference:identity")
    rules = parse_rules([{"source": s, "layers": "*"} for s in sources], LAYERS, "test")
    with pytest.raises(UserError, match="its part"):
        Routing("both", LAYERS, rules, sources)
