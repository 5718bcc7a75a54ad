"""Sampling: exact oracles, independence of the batch, guidance passes, saved models, bad input."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from facecond import pipeline as pipelines
from facecond.attribute_split import appearance, geometry
from facecond.diffusion.objective import Objective
from facecond.diffusion.paths import alpha_sigma, t_of_timestep
from facecond.diffusion.schedulers import scheduler
from facecond.errors import UserError
from facecond.labels import parse_attributes
from facecond.models.evidence import EvidenceEncoder
from facecond.models.reference import Reference
from facecond.models.routing import Routing, parse_rules
from facecond.pipeline import Blend, FacePipeline, load_pipeline, to_uint8
from facecond.sampling.checksums import write_checksums

SIZE = 32


@pytest.fixture(scope="module")
def pipeline(make_pipeline: Callable[..., FacePipeline]) -> FacePipeline:
    return make_pipeline()


def some_conditions(count: int) -> dict[str, Any]:
    draw = np.random.default_rng(0)
    return {
        "attributes": draw.integers(-1, 2, (count, 40)).astype(np.int8),
        "mask": draw.integers(0, 19, (count, SIZE, SIZE)).astype(np.uint8),
    }


def test_samples_are_uint8_pictures_and_repeat(pipeline: FacePipeline) -> None:
    first = pipeline(**some_conditions(3), seeds=[1, 2, 3]).images
    assert first.shape == (3, SIZE, SIZE, 3) and first.dtype == np.uint8
    assert np.array_equal(first, pipeline(**some_conditions(3), seeds=[1, 2, 3]).images)
    assert not np.array_equal(first, pipeline(**some_conditions(3), seeds=[1, 2, 4]).images)


@pytest.fixture
def in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """No bfloat16, whatever this processor can do: its rounding depends on the batch."""
    monkeypatch.setattr(pipelines, "has_fast_bf16", lambda kind: False)


@pytest.mark.parametrize("fast", [False, True])
def test_precision_follows_the_device_and_the_weights(
    fast: bool, pipeline: FacePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipelines, "has_fast_bf16", lambda kind: fast)
    assert pipeline.precision == ("bfloat16" if fast else "float32")
    seen: list[torch.dtype] = []
    block = pipeline.unet.cross_attentions()[0]
    handle = block.to_q.register_forward_hook(lambda *given: seen.append(given[2].dtype))
    try:
        pipeline(seeds=[0], num_inference_steps=1)
    finally:
        handle.remove()
    assert seen == [torch.bfloat16 if fast else torch.float32]
    half = copy.deepcopy(pipeline).to(torch.float16)
    assert half.precision == "float16"


def test_a_picture_that_is_not_finite_is_an_error(
    pipeline: FacePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = torch.full((1, 3, SIZE, SIZE), float("nan"))
    monkeypatch.setattr(pipeline.first_stage, "decode", lambda latents: nowhere)
    with pytest.raises(UserError, match="not finite"):
        pipeline(seeds=[0])


@pytest.mark.usefixtures("in_float32")
def test_a_face_does_not_depend_on_its_batch(pipeline: FacePipeline) -> None:
    given = some_conditions(5)
    together = pipeline(**given, seeds=range(5)).images.astype(int)
    for index in range(5):
        alone = pipeline(given["attributes"][index], given["mask"][index], seeds=[index]).images
        assert np.abs(alone[0].astype(int) - together[index]).max() <= 1


def test_conditions_matter(pipeline: FacePipeline) -> None:
    given = some_conditions(2)
    free = pipeline(seeds=[0, 1]).images
    for name in ("attributes", "mask"):
        assert not np.array_equal(free, pipeline(**{name: given[name]}, seeds=[0, 1]).images)


def test_scale_zero_drops_a_source_and_scale_one_changes_nothing(pipeline: FacePipeline) -> None:
    given = some_conditions(2)
    plain = pipeline(**given, seeds=[0, 1]).images
    same = pipeline(**given, seeds=[0, 1], guidance={"mask": 1.0, "attributes": 1.0}).images
    assert np.array_equal(plain, same)
    dropped = pipeline(**given, seeds=[0, 1], guidance={"mask": 0.0}).images
    without = pipeline(attributes=given["attributes"], seeds=[0, 1]).images
    assert np.array_equal(dropped, without)


def test_passes_are_counted(pipeline: FacePipeline) -> None:
    seen: list[int] = []
    handle = pipeline.unet.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    try:
        for guidance in ({}, {"mask": 1.0}, {"mask": 0.0}, {"mask": 2.0, "attributes": 3.0}):
            pipeline(**some_conditions(2), seeds=[0, 1], guidance=guidance, num_inference_steps=1)
    finally:
        handle.remove()
    assert seen == [2, 2, 2, 6]


@pytest.mark.usefixtures("in_float32")
def test_guidance_is_the_stated_formula(pipeline: FacePipeline) -> None:
    # One Euler step of the flow from t = 1 to 0 gives noise - prediction: affine in it, and the
    # raw latents that the decoder sees are affine in that.
    given = some_conditions(1)
    latents: dict[str, torch.Tensor] = {}

    def run(name: str, guidance: dict[str, float]) -> None:
        handle = pipeline.first_stage.autoencoder.decoder.register_forward_pre_hook(
            lambda _, inputs: latents.update({name: inputs[0]})
        )
        try:
            pipeline(**given, seeds=[0], guidance=guidance, num_inference_steps=1)
        finally:
            handle.remove()

    run("full", {})
    run("no_mask", {"mask": 0.0})
    run("no_attributes", {"attributes": 0.0})
    run("guided", {"mask": 2.5, "attributes": 4.0})
    full = latents["full"]
    expected = full + 1.5 * (full - latents["no_mask"]) + 3 * (full - latents["no_attributes"])
    torch.testing.assert_close(latents["guided"], expected, atol=1e-4, rtol=1e-4)


def test_a_callback_sees_each_step_and_may_replace_its_latents(pipeline: FacePipeline) -> None:
    seen: list[tuple[int, float, tuple[int, ...]]] = []

    def watch(pipe: FacePipeline, step: int, timestep: torch.Tensor, given: dict) -> dict:
        assert pipe is pipeline
        seen.append((step, float(timestep), tuple(given["latents"].shape)))
        return {}

    plain = pipeline(seeds=[0, 1]).images
    assert np.array_equal(plain, pipeline(seeds=[0, 1], callback_on_step_end=watch).images)
    times = pipeline.scheduler.timesteps.tolist()
    assert seen == [(step, time, (2, 6, 8, 8)) for step, time in enumerate(times)]

    def blank(pipe: FacePipeline, step: int, timestep: torch.Tensor, given: dict) -> dict:
        return {"latents": torch.zeros_like(given["latents"])} if step == len(times) - 1 else given

    replaced = pipeline(seeds=[0, 1], callback_on_step_end=blank).images
    assert np.array_equal(replaced[0], replaced[1])

    def stop(*_: Any) -> dict:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        pipeline(seeds=[0], callback_on_step_end=stop)
    assert np.array_equal(plain, pipeline(seeds=[0, 1]).images)  # nothing is left behind


def test_conditions_of_any_number_type_are_the_same(pipeline: FacePipeline) -> None:
    given = some_conditions(1)
    plain = pipeline(**given, seeds=[0]).images
    for kind in (np.int64, np.float32):
        cast = {name: value.astype(kind) for name, value in given.items()}
        assert np.array_equal(plain, pipeline(**cast, seeds=[0]).images)


def test_bfloat16_weights_draw_nearly_the_same(pipeline: FacePipeline) -> None:
    given, half = some_conditions(2), copy.deepcopy(pipeline)
    half.to(torch.bfloat16)
    assert half.unet.dtype == half.first_stage.dtype == torch.bfloat16
    assert torch.equal(half._noise([3]), pipeline._noise([3]))  # float32 whatever the weights are
    exact = pipeline(**given, seeds=[0, 1], guidance={"mask": 2.0}).images.astype(int)
    rounded = half(**given, seeds=[0, 1], guidance={"mask": 2.0}).images
    assert np.abs(exact - rounded).mean() < 3


@pytest.mark.parametrize("name", ["euler", "heun", "unipc", "dpm++"])
def test_every_short_name_samples(pipeline: FacePipeline, name: str) -> None:
    before = pipeline.scheduler
    pipeline.use_scheduler(name)
    try:
        assert pipeline(seeds=[0]).images.shape == (1, SIZE, SIZE, 3)
    finally:
        pipeline.scheduler = before


def test_a_saved_pipeline_draws_the_same(pipeline: FacePipeline, tmp_path: Path) -> None:
    pipeline.save_pretrained(tmp_path / "model")
    loaded = load_pipeline(tmp_path / "model")
    given = some_conditions(2)
    assert np.array_equal(
        pipeline(**given, seeds=[0, 1]).images, loaded(**given, seeds=[0, 1]).images
    )
    assert loaded.config.steps == 4 and loaded.unet.routing == pipeline.unet.routing


def test_nan_weights_are_named(pipeline: FacePipeline, tmp_path: Path) -> None:
    pipeline.save_pretrained(tmp_path / "model")
    (file,) = (tmp_path / "model" / "unet").glob("*.safetensors")
    weights = load_file(file)
    weights["conv_in.bias"][0] = float("nan")
    save_file(weights, file)
    write_checksums(tmp_path / "model")
    with pytest.raises(UserError, match=r"conv_in\.bias holds NaN"):
        load_pipeline(tmp_path / "model")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("truncate", "not those that were saved"),
        ("bit", "not those that were saved"),
        ("missing", "the weights are missing"),
        ("no folder", "not a model folder"),
        ("other architecture", "cannot be loaded"),
        ("other version", r"conv_in\.bias is not among its weights"),
    ],
)
def test_a_broken_model_is_one_clear_error(
    pipeline: FacePipeline, tmp_path: Path, damage: str, message: str
) -> None:
    pipeline.save_pretrained(tmp_path / "model")
    (file,) = (tmp_path / "model" / "unet").glob("*.safetensors")
    if damage == "truncate":
        file.write_bytes(file.read_bytes()[:-100])
    elif damage == "bit":
        content = bytearray(file.read_bytes())
        content[-100] ^= 1
        file.write_bytes(content)
    elif damage == "missing":
        file.unlink()
    elif damage == "other version":
        weights = load_file(file)
        weights["of_before"] = weights.pop("conv_in.bias")
        save_file(weights, file)
        write_checksums(tmp_path / "model")
    elif damage == "other architecture":
        save_file({"conv_in.weight": torch.zeros(3, 3)}, file)
        write_checksums(tmp_path / "model")
    path = tmp_path / ("nothing" if damage == "no folder" else "model")
    with pytest.raises(UserError, match=message):
        load_pipeline(path)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"attributes": np.zeros((2, 39), np.int8)}, "shape"),
        ({"attributes": np.full((2, 40), 2, np.int8)}, "values -1, 0, 1"),
        ({"attributes": np.full((2, 40), 257)}, "values -1, 0, 1"),  # 1 as int8
        ({"attributes": np.full((2, 40), 255, np.uint8)}, "values -1, 0, 1"),  # -1 as int8
        ({"attributes": np.full((2, 40), 0.5)}, "values -1, 0, 1"),
        ({"mask": np.zeros((2, 16, 16), np.uint8)}, "shape"),
        ({"mask": np.full((2, SIZE, SIZE), 19, np.uint8)}, r"unknown classes \[19\]"),
        ({"mask": np.full((2, SIZE, SIZE), -1)}, r"unknown classes \[-1\]"),  # 255 as uint8
        ({"mask": np.full((2, SIZE, SIZE), 256 + 3)}, r"unknown classes \[259\]"),
        ({"mask": np.full((2, SIZE, SIZE), 3.5)}, r"unknown classes \[3\.5\]"),
        ({"guidance": {"masks": 2.0}}, "Did you mean 'mask'"),
        ({"guidance": {"mask": -1.0}}, "out of range"),
        ({"num_inference_steps": 0}, "0 is no number of steps.*1 to 1000"),
        ({"num_inference_steps": -4}, "-4 is no number of steps"),
        ({"num_inference_steps": 1001}, "1001 is no number of steps"),
        ({"num_inference_steps": 4.5}, "4.5 is no number of steps"),
        ({"seeds": 3}, r"3 is no list of whole numbers.*seeds=\[0, 1\]"),
        ({"seeds": []}, "no list of whole numbers"),
        ({"seeds": [0.5, 1]}, "no list of whole numbers"),
        ({"seeds": None, "num_images_per_condition": 0}, "there is no face to draw"),
        ({"blend": Blend("Smiling=2")}, "blend: 'Smiling' has a scale"),
    ],
)
def test_bad_conditions_are_user_errors(
    pipeline: FacePipeline, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        pipeline(**{"seeds": [0, 1]} | given)


def test_uint8_rounds_and_clamps() -> None:
    values = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0]).reshape(1, 1, 1, 5).expand(1, 3, 1, 5)
    assert to_uint8(values)[0, 0, :, 0].tolist() == [0, 0, 128, 255, 255]


class ExactPipeline(FacePipeline):
    """Its network is the perfect denoiser of latents that are normal: mean 0.3, deviation 0.5."""

    def _predict(self, x_t: torch.Tensor, timestep: torch.Tensor, *rest: Any) -> torch.Tensor:
        schedule = self.config.schedule
        t = t_of_timestep(schedule, timestep.float())
        alpha, sigma = alpha_sigma(schedule, t)
        gain = alpha * 0.25 / (alpha**2 * 0.25 + sigma**2)
        x_0 = 0.3 + gain * (x_t - alpha * 0.3)
        noise = sigma / (alpha**2 * 0.25 + sigma**2) * (x_t - alpha * 0.3)
        return Objective(schedule, self.config.prediction).target(x_0, noise, t)


@pytest.mark.parametrize(
    ("schedule", "name"),
    [("flow", "euler"), ("flow", "unipc"), ("linear", "ddim"), ("scaled_linear", "euler"),
     ("scaled_linear", "ddpm"), ("cosine", "heun"), ("cosine", "dpm++")],
)  # fmt: skip
def test_what_the_network_predicts_does_not_matter(
    pipeline: FacePipeline, schedule: str, name: str
) -> None:
    """The latents of an exact network are the same, and distributed as they should be."""
    predictions = ["v", "flow"] + (["epsilon"] if schedule != "flow" else [])
    drawn: list[torch.Tensor] = []
    parts = pipeline.unet, pipeline.condition_encoder, pipeline.first_stage
    for prediction in predictions:
        sampler = scheduler(name, schedule, prediction)
        made = ExactPipeline(*parts, sampler, schedule, prediction, steps=50)
        handle = made.first_stage.autoencoder.decoder.register_forward_pre_hook(
            lambda _, inputs: drawn.append(inputs[0])
        )
        try:
            made(seeds=range(8))
        finally:
            handle.remove()
    scale = pipeline.first_stage.config
    mean, std = (torch.tensor(x).view(1, -1, 1, 1) for x in (scale.latents_mean, scale.latents_std))
    latents = [(raw - mean) / std for raw in drawn]
    assert len(latents) == len(predictions)
    for other in latents[1:]:
        assert (other - latents[0]).abs().max() < 0.02
    # 3072 values: 4 standard errors, and what 50 steps and an end with some signal cost.
    assert float(latents[0].mean()) == pytest.approx(0.3, abs=0.06)
    assert float(latents[0].std()) == pytest.approx(0.5, abs=0.06)


def count_rows(pipeline: FacePipeline, **given: Any) -> list[int]:
    seen: list[int] = []
    handle = pipeline.unet.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    try:
        pipeline(**given)
    finally:
        handle.remove()
    return seen


def latents_of(pipeline: FacePipeline, **given: Any) -> torch.Tensor:
    return pipeline(**given, output_type="latent").images


@pytest.mark.usefixtures("in_float32")
def test_scales_may_differ_between_faces(pipeline: FacePipeline) -> None:
    given = some_conditions(3)
    scales = {"mask": torch.tensor([1.0, 3.0, 0.0]), "attributes": torch.tensor([2.0, 1.0, 1.5])}
    together = latents_of(pipeline, **given, seeds=range(3), guidance=scales)
    for i in range(3):
        own = {part: float(scale[i]) for part, scale in scales.items()}
        alone = latents_of(
            pipeline, attributes=given["attributes"][i], mask=given["mask"][i], seeds=[i],
            guidance=own,
        )  # fmt: skip
        torch.testing.assert_close(together[i], alone[0], atol=1e-4, rtol=1e-4)
    rows = count_rows(pipeline, **given, seeds=range(3), guidance=scales, num_inference_steps=1)
    assert rows == [3 + 1 + 2]


@pytest.mark.usefixtures("in_float32")
def test_emphasis_is_the_formula_on_one_attribute(pipeline: FacePipeline) -> None:
    one = {"seeds": [0], "guidance": {}, "num_inference_steps": 1}
    full = latents_of(pipeline, attributes="Smiling,-Male", **one)
    without = latents_of(pipeline, attributes="-Male", **one)
    strong = latents_of(pipeline, attributes="Smiling=2.5,-Male", **one)
    torch.testing.assert_close(strong, full + 1.5 * (full - without), atol=1e-4, rtol=1e-4)
    hidden = latents_of(pipeline, attributes="Smiling=0,-Male", **one)
    torch.testing.assert_close(hidden, without)
    named = latents_of(
        pipeline, attributes={"Smiling": True, "Male": 0}, **one | {"guidance": {"Smiling": 2.5}}
    )
    assert torch.equal(named, strong)
    each = latents_of(
        pipeline, attributes=["Smiling=2.5,-Male", "-Male"], **one | {"seeds": [0, 0]}
    )
    torch.testing.assert_close(each, torch.cat([strong, without]), atol=1e-4, rtol=1e-4)


def test_conditions_that_are_open_need_no_pass(pipeline: FacePipeline) -> None:
    given = some_conditions(2)
    given["mask"][1] = 255
    scales = {"mask": 2.0, "Smiling": 3.0}
    given["attributes"][:, 31] = [-1, 1]  # Smiling
    rows = count_rows(pipeline, **given, seeds=[0, 1], guidance=scales, num_inference_steps=1)
    assert rows == [2 + 1 + 1]


@pytest.mark.usefixtures("in_float32")
def test_outside_the_interval_only_the_full_pass_is_computed(pipeline: FacePipeline) -> None:
    given = some_conditions(2) | {"seeds": [0, 1], "guidance": {"mask": 3.0}}
    rows = count_rows(pipeline, **given, guidance_interval=(0.2, 0.7))
    times = (pipeline.scheduler.timesteps / 1000).tolist()
    assert rows == [4 if 0.2 <= time < 0.7 else 2 for time in times]
    assert 2 in rows and 4 in rows
    everywhere = latents_of(pipeline, **given)
    assert torch.equal(latents_of(pipeline, **given, guidance_interval=(0, 1)), everywhere)
    nowhere = latents_of(pipeline, **given | {"guidance": {}})
    close = latents_of(pipeline, **given, guidance_interval=(0.0, 1e-6))
    torch.testing.assert_close(close, nowhere)


@pytest.mark.usefixtures("in_float32")
def test_a_window_closes_a_source_and_spares_its_pass(pipeline: FacePipeline) -> None:
    given = some_conditions(2) | {"seeds": [0, 1]}
    windowed = copy.deepcopy(pipeline)
    windowed.use_windows({"mask": (0.6, 1.0)})
    rows = count_rows(windowed, **given, guidance={"mask": 2.0})
    times = (windowed.scheduler.timesteps / 1000).tolist()
    assert rows == [4 if time >= 0.6 else 2 for time in times]
    windowed.use_routing(pipeline.unet.trained_routing)
    assert np.array_equal(windowed(**given).images, pipeline(**given).images)


def test_a_window_of_one_part_spares_the_passes_of_its_attributes(
    make_pipeline: Callable[..., FacePipeline],
) -> None:
    parts = {"geometry": "Smiling", "appearance": "Blond_Hair"}
    for part, name in parts.items():
        assert name in (geometry() if part == "geometry" else appearance())
    sources = ("attributes:geometry", "attributes:appearance", "mask")
    rules = [{"source": source, "layers": "*"} for source in sources]
    split = make_pipeline(
        {"route": lambda of: Routing("split", of, parse_rules(rules, of, "here"), sources)}
    )
    split.use_windows({"attributes:geometry": (0.6, 1.0)})
    given = {"attributes": ",".join(parts.values()), "seeds": [0]}
    rows = count_rows(split, **given, guidance={"Smiling": 2.0})
    times = (split.scheduler.timesteps / 1000).tolist()
    assert rows == [2 if time >= 0.6 else 1 for time in times] and 1 in rows
    assert count_rows(split, **given, guidance={"Blond_Hair": 2.0}) == [2] * len(times)
    assert count_rows(split, **given, guidance={"attributes": 2.0}) == [2] * len(times)


@pytest.mark.usefixtures("in_float32")
def test_a_weaker_model_is_led_away_from(pipeline: FacePipeline) -> None:
    weaker = copy.deepcopy(pipeline)
    with torch.no_grad():
        weaker.unet.conv_out.weight.mul_(0.5)
    given = some_conditions(1) | {"seeds": [0], "num_inference_steps": 1}
    full, weak = latents_of(pipeline, **given), latents_of(weaker, **given)
    led = latents_of(pipeline, **given, weaker=weaker, guidance={"weaker": 3.0})
    torch.testing.assert_close(led, full + 2 * (full - weak), atol=1e-4, rtol=1e-4)
    assert count_rows(weaker, **given, weaker=pipeline, guidance={"weaker": 1.0}) == [1]
    for words in ({"weaker": weaker}, {"guidance": {"weaker": 2.0}}):
        with pytest.raises(UserError, match="go together"):
            pipeline(**given, **words)
    with torch.no_grad():
        weaker.first_stage.autoencoder.encoder.weight.mul_(2)
    with pytest.raises(UserError, match="another first stage"):
        pipeline(**given, weaker=weaker, guidance={"weaker": 2.0})


def test_a_weaker_model_may_lie_in_another_folder(pipeline: FacePipeline, tmp_path: Path) -> None:
    models = []
    for name in ("one", "other"):
        pipeline.save_pretrained(tmp_path / name)
        models.append(load_pipeline(tmp_path / name))
    guidance = {"weaker": 1.5}
    led = models[0](seeds=[0], weaker=models[1], guidance=guidance).images
    assert np.array_equal(led, models[0](seeds=[0]).images)  # equal models: nowhere to lead


@pytest.mark.usefixtures("in_float32")
def test_rescaling_keeps_the_spread_of_the_full_prediction(pipeline: FacePipeline) -> None:
    given = some_conditions(1) | {"seeds": [0], "num_inference_steps": 1}
    noise = pipeline._noise([0])  # one Euler step: latents = noise - prediction
    full = noise - latents_of(pipeline, **given, guidance={})
    guided = noise - latents_of(
        pipeline, **given, guidance={"mask": 6.0, "attributes": 4.0}, guidance_rescale=1.0
    )
    assert float(guided.std()) == pytest.approx(float(full.std()), rel=1e-3)
    with pytest.raises(UserError, match="no share"):
        pipeline(**given, guidance_rescale=1.5)


def test_deep_blocks_run_at_some_steps_only(pipeline: FacePipeline) -> None:
    ran: list[int] = []
    pipeline.unet.mid_block.register_forward_hook(lambda *_: ran.append(1))
    given = some_conditions(2) | {"seeds": [0, 1], "guidance": {"mask": 3.0}}
    given["num_inference_steps"] = 6
    exact = latents_of(pipeline, **given)
    assert len(ran) == 6
    ran.clear()
    assert torch.equal(latents_of(pipeline, **given, feature_reuse=1), exact) and len(ran) == 6
    ran.clear()
    near = latents_of(pipeline, **given, feature_reuse=2)
    assert len(ran) == 3 and not torch.equal(near, exact)
    assert torch.equal(latents_of(pipeline, **given, feature_reuse=2), near)
    ran.clear()
    far = latents_of(pipeline, **given, feature_reuse=6)
    assert len(ran) == 1 and (far - exact).norm() > (near - exact).norm()
    ran.clear()  # within the interval other rows are in the batch: they have features of their own
    latents_of(pipeline, **given, feature_reuse=6, guidance_interval=(0.2, 0.7))
    assert len(ran) == 2
    with pytest.raises(UserError, match="0 is no number of steps"):
        pipeline(**given, feature_reuse=0)


def test_forms_of_the_output(pipeline: FacePipeline) -> None:
    given = some_conditions(2) | {"seeds": [0, 1]}
    pixels = pipeline(**given).images
    pictures = pipeline(**given, output_type="pil").images
    assert np.array_equal(np.stack([np.asarray(picture) for picture in pictures]), pixels)
    values = pipeline(**given, output_type="pt").images
    assert values.shape == (2, 3, SIZE, SIZE) and float(values.min()) >= 0
    assert np.array_equal((values * 255).round().byte().permute(0, 2, 3, 1).numpy(), pixels)
    latents = latents_of(pipeline, **given)
    assert np.array_equal(to_uint8(pipeline.first_stage.decode(latents)), pixels)
    images, strange = pipeline(**given, return_dict=False)
    assert np.array_equal(images, pixels) and strange == ()
    with pytest.raises(UserError, match="unknown output type 'pill'"):
        pipeline(**given, output_type="pill")


def test_noise_from_generators_and_given(pipeline: FacePipeline) -> None:
    def generator(seed: int) -> torch.Generator:
        return torch.Generator().manual_seed(seed)

    one = pipeline(generator=generator(3), num_images_per_condition=2).images
    assert np.array_equal(one, pipeline(generator=generator(3), num_images_per_condition=2).images)
    each = pipeline(generator=[generator(3), generator(4)]).images
    assert np.array_equal(one[0], each[0]) and not np.array_equal(one[1], each[1])
    noise = pipeline._noise([5, 6])
    assert np.array_equal(pipeline(latents=noise).images, pipeline(seeds=[5, 6]).images)
    for words in ({"latents": noise[:, :2]}, {"generator": [generator(0)], "latents": None}):
        with pytest.raises(UserError, match=r"generators for|expected shape"):
            pipeline(attributes="Smiling", seeds=[0, 1], **words)


def test_copies_of_each_condition(pipeline: FacePipeline) -> None:
    given = some_conditions(2)
    copies = pipeline(**given, num_images_per_condition=2).images
    twice = {name: np.repeat(value, 2, 0) for name, value in given.items()}
    assert np.array_equal(copies, pipeline(**twice, seeds=range(4)).images)
    assert len(pipeline(num_images_per_condition=3).images) == 3
    assert len(pipeline(**given).images) == 2


@pytest.mark.usefixtures("in_float32")
def test_copies_have_the_scales_of_their_condition(pipeline: FacePipeline) -> None:
    words = ["Smiling=1.5", "Male"]
    copies = pipeline(words, num_images_per_condition=2).images
    each = [words[0], words[0], words[1], words[1]]
    assert np.array_equal(copies, pipeline(each, seeds=range(4)).images)
    given = {"attributes": words, "mask": some_conditions(2)["mask"]}
    scales = torch.tensor([1.0, 3.0])
    copies = pipeline(**given, num_images_per_condition=2, guidance={"mask": scales}).images
    given = {"attributes": each, "mask": np.repeat(given["mask"], 2, 0)}
    scales = torch.tensor([1.0, 1.0, 3.0, 3.0])
    assert np.array_equal(copies, pipeline(**given, seeds=range(4),
                                           guidance={"mask": scales}).images)  # fmt: skip


def test_seeds_of_numpy(pipeline: FacePipeline) -> None:
    first, second = (pipeline(seeds=seeds).images for seeds in (np.arange(2), [0, 1]))
    assert np.array_equal(first, second)


def test_callbacks_are_those_of_diffusers(pipeline: FacePipeline) -> None:
    def stop(pipe: Any, step: int, timestep: Any, given: dict[str, Any]) -> dict[str, Any]:
        pipe._interrupt = step == 1
        assert set(given) == {"latents"}
        return given

    seen: list[int] = []
    handle = pipeline.unet.register_forward_pre_hook(lambda *_: seen.append(1))
    try:
        pipeline(seeds=[0], callback_on_step_end=stop)
    finally:
        handle.remove()
    assert len(seen) == 2 and pipeline.interrupt
    plain = pipeline(seeds=[0], callback_on_step_end=lambda *_: {}).images
    assert np.array_equal(plain, pipeline(seeds=[0]).images)
    assert not pipeline.interrupt
    with pytest.raises(UserError, match=r"unknown tensors \['noise'\]"):
        pipeline(callback_on_step_end=lambda *_: {}, callback_on_step_end_tensor_inputs=["noise"])


def test_parts_wake_before_they_work_so_that_they_can_be_offloaded(
    pipeline: FacePipeline,
) -> None:
    from accelerate import cpu_offload_with_hook

    plain = pipeline(seeds=[0]).images
    offloaded, woken, hook = copy.deepcopy(pipeline), [], None
    for name in ("condition_encoder", "unet", "first_stage"):
        part = getattr(offloaded, name)
        _, hook = cpu_offload_with_hook(part, "cpu", hook)
        wake = part._hf_hook.pre_forward
        part._hf_hook.pre_forward = lambda *given, wake=wake, name=name, **named: (
            woken.append(name), wake(*given, **named)
        )[1]  # fmt: skip
    assert np.array_equal(plain, offloaded(seeds=[0], num_inference_steps=4).images)
    order = list(dict.fromkeys(woken))
    assert order == ["condition_encoder", "unet", "first_stage"]
    assert woken.index("unet") < len(woken) - 1 and woken[-1] == "first_stage"


def test_slicing_decodes_the_same(pipeline: FacePipeline) -> None:
    plain = pipeline(seeds=[0, 1]).images
    pipeline.enable_vae_slicing()
    try:
        assert np.array_equal(plain, pipeline(seeds=[0, 1]).images)
    finally:
        pipeline.disable_vae_slicing()


def test_a_loaded_pipeline_saves_again(pipeline: FacePipeline, tmp_path: Path) -> None:
    pipeline.save_pretrained(tmp_path / "first")
    loaded = FacePipeline.from_pretrained(tmp_path / "first")
    loaded.save_pretrained(tmp_path / "second")
    again = load_pipeline(tmp_path / "second")
    assert again.evidence_encoder is None
    given = some_conditions(2) | {"seeds": [0, 1], "guidance": {"mask": 2.0}}
    assert np.array_equal(pipeline(**given).images, again(**given).images)
    files = [
        {p.relative_to(tmp_path / n) for p in (tmp_path / n).rglob("*.*")}
        for n in ("first", "second")
    ]
    assert files[0] == files[1]


def test_the_card_and_the_provenance_go_along(pipeline: FacePipeline, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    pipeline.save_pretrained(first)
    (first / "README.md").write_text("# Mine, ä\n", "utf-8")
    (first / "provenance.json").write_text('{"steps": 4}\n')
    loaded = FacePipeline.from_pretrained(first)
    loaded.save_pretrained(second)
    load_pipeline(second).save_pretrained(tmp_path / "third")
    for name in ("README.md", "provenance.json"):
        assert (tmp_path / "third" / name).read_bytes() == (first / name).read_bytes()
    (first / "README.md").write_text("# Scored since\n")
    loaded.save_pretrained(first)
    assert (first / "README.md").read_text() == "# Scored since\n"


def test_pictures_say_that_they_are_synthetic(pipeline: FacePipeline, tmp_path: Path) -> None:
    drawn = pipeline(seeds=[0, 1], output_type="pil").images
    assert "synthetic" in drawn[1].info["Description"]
    drawn[1].save(tmp_path / "face.png")
    with Image.open(tmp_path / "face.png") as saved:
        assert "synthetic face" in saved.info["Description"]
        assert "facecond" in saved.info["Software"]
        assert np.array_equal(np.asarray(saved), pipeline(seeds=[0, 1]).images[1])


def test_names_that_exclude_each_other_are_refused(pipeline: FacePipeline) -> None:
    for named in ("Black_Hair,Blond_Hair", {"Black_Hair": True, "Blond_Hair": True}):
        with pytest.raises(UserError, match="Black_Hair and Blond_Hair exclude each other"):
            pipeline(named, seeds=[0])
    both = np.maximum(*(parse_attributes(name) for name in ("Black_Hair", "Blond_Hair")))
    assert pipeline(both, seeds=[0]).images.shape == (1, SIZE, SIZE, 3)


@pytest.mark.usefixtures("in_float32")
def test_a_blend_ends_in_both_conditions(pipeline: FacePipeline) -> None:
    given = some_conditions(2)
    ends = [
        latents_of(pipeline, attributes=given["attributes"][i], mask=given["mask"][i], seeds=[4],
                   guidance={"mask": 2.0})
        for i in range(2)
    ]  # fmt: skip
    blend = Blend(given["attributes"][1], given["mask"][1], torch.tensor([0.0, 0.5, 1.0]))
    path = latents_of(
        pipeline, attributes=given["attributes"][0], mask=given["mask"][0], seeds=[4] * 3,
        guidance={"mask": 2.0}, blend=blend,
    )  # fmt: skip
    torch.testing.assert_close(path[:1], ends[0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(path[2:], ends[1], atol=1e-4, rtol=1e-4)
    assert not torch.allclose(path[1:2], ends[0], atol=1e-3)
    assert not torch.allclose(path[1:2], ends[1], atol=1e-3)


@pytest.fixture(scope="module")
def with_reference(make_pipeline: Callable[..., FacePipeline]) -> FacePipeline:
    """A pipeline that also takes the appearance of a reference, by its latents."""
    options = {"evidence_shape": (4, 96), "dim": 16, "queries": 2, "depth": 1}
    read = {"reference": options, "instructions": ("appearance",)}
    sources = ("attributes", "mask", "reference:appearance")
    rules = [{"source": source, "layers": "*"} for source in sources]
    made = make_pipeline(
        {
            "reference": lambda _: read,
            "route": lambda of: Routing("all", of, parse_rules(rules, of, "here"), sources),
        },
        steps=3,
        evidence_encoder=EvidenceEncoder("latents", grid=2, tokens=(4, 96)),
    )
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():  # in a new one the values of a reference are zero
        for layer in made.unet.cross_attentions():
            weight = layer.to_kv["reference:appearance"].weight
            weight.copy_(torch.randn(weight.shape, generator=draw))
    return made


def test_a_loaded_pipeline_with_references_saves_again(
    with_reference: FacePipeline, tmp_path: Path
) -> None:
    face = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8)
    given = some_conditions(2) | {"seeds": [0, 1], "reference": Reference(face, weight=0.7)}
    given["guidance"] = {"reference": 2.0}
    with_reference.save_pretrained(tmp_path / "first")
    load_pipeline(tmp_path / "first").save_pretrained(tmp_path / "second")
    again = load_pipeline(tmp_path / "second")
    assert isinstance(again.evidence_encoder, EvidenceEncoder)
    assert np.array_equal(with_reference(**given).images, again(**given).images)
    other = given | {"reference": Reference(255 - face)}
    assert not torch.equal(latents_of(again, **given), latents_of(again, **other))


@pytest.mark.usefixtures("in_float32")
def test_the_scale_of_a_reference(with_reference: FacePipeline) -> None:
    face = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8)
    one = some_conditions(1) | {"seeds": [0], "num_inference_steps": 1}
    full = latents_of(with_reference, **one, reference=Reference(face))
    without = latents_of(with_reference, **one)
    assert not torch.equal(full, without)
    strong = latents_of(
        with_reference, **one, reference=Reference(face), guidance={"reference": 3.0}
    )
    torch.testing.assert_close(strong, full + 2 * (full - without), atol=1e-4, rtol=1e-4)
    hidden = latents_of(
        with_reference, **one, reference=Reference(face), guidance={"reference": 0.0}
    )
    torch.testing.assert_close(hidden, without, atol=1e-5, rtol=1e-5)
    rows = count_rows(with_reference, **one, guidance={"reference": 3.0})
    assert rows == [1]  # there is none: no pass without it
