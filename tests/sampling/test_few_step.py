"""Sampling a distilled model: one pass a step, told what it is to do; what it cannot do is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import UniPCMultistepScheduler

from facecond.errors import UserError
from facecond.models.routing import Routing, parse_rules
from facecond.pipeline import FacePipeline, load_pipeline

GUIDANCE = {"attributes": [1.0, 3.0], "mask": [1.0, 2.0]}
MASK = np.full((32, 32), 1, np.uint8)


@pytest.fixture(scope="module")
def distilled(make_pipeline: Callable[..., FacePipeline]) -> FacePipeline:
    pipeline = make_pipeline({"guidance_ranges": GUIDANCE}, guidance={"mask": 2.0})
    with torch.no_grad():
        weight = pipeline.unet.time_embedding.cond_proj.weight
        weight.normal_(generator=torch.Generator().manual_seed(0))
    return pipeline


def calls(pipeline: FacePipeline, **options: Any) -> list[tuple[float, list[list[float]]]]:
    """Timestep and told steps of each pass of the network, for two faces."""
    mask = MASK if options.pop("reads_mask", True) else None
    found = []

    def note(module: Any, args: Any) -> None:
        x_t, timestep, conditions = args
        assert len(x_t) == 2
        found.append((float(timestep), conditions.step.tolist()))

    handle = pipeline.unet.register_forward_pre_hook(note)
    try:
        pipeline("Smiling", mask, seeds=[0, 1], **options)
    finally:
        handle.remove()
    return found


def test_one_pass_a_step_is_told_its_length_and_scales(distilled: FacePipeline) -> None:
    told = calls(distilled, num_inference_steps=2, guidance={"attributes": 3.0, "mask": 1.5})
    assert told == [(1000.0, [[0.5, 3.0, 1.5]] * 2), (500.0, [[0.5, 3.0, 1.5]] * 2)]
    usual = calls(distilled)
    assert [at for at, _ in usual] == [1000.0, 750.0, 500.0, 250.0]
    assert all(step == [[0.25, 1.0, 2.0]] * 2 for _, step in usual)
    each = torch.tensor([1.0, 2.0])
    ((_, step),) = calls(distilled, num_inference_steps=1, guidance={"mask": each})
    assert step == [[1.0, 1.0, 1.0], [1.0, 1.0, 2.0]]


def test_scale_0_hides_a_part(distilled: FacePipeline) -> None:
    hidden = distilled("Smiling", MASK, seeds=[0], guidance={"mask": 0.0}).images
    without = distilled("Smiling", None, seeds=[0], guidance={}).images
    assert np.array_equal(hidden, without)
    assert not np.array_equal(hidden, distilled("Smiling", MASK, seeds=[0], guidance={}).images)


def test_scales_change_the_face(distilled: FacePipeline) -> None:
    faces = [distilled("Smiling", MASK, seeds=[0], guidance={"mask": w}).images for w in (1.0, 2.0)]
    assert not np.array_equal(*faces)


def test_saved_and_loaded_it_draws_the_same(distilled: FacePipeline, tmp_path: Path) -> None:
    distilled.save_pretrained(tmp_path / "model")
    given: dict[str, Any] = {"attributes": "Smiling", "mask": MASK, "seeds": [3]}
    loaded = load_pipeline(tmp_path / "model")
    assert np.array_equal(loaded(**given).images, distilled(**given).images)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_inference_steps": 3}, "distilled for 1, 2, 4, 8 steps, not 3"),
        ({"guidance": {"mask": 2.5}}, "2.5 is no scale of 'mask' that this model was distilled"),
        ({"guidance": {"mask": torch.tensor([1.0, 0.5])}}, "0.5 is no scale of 'mask'"),
        ({"guidance": {"mask": torch.ones(3)}}, "scales of 'mask' for 2 images"),
        ({"guidance": {"mask": -1.0}}, "out of range"),
        ({"guidance": {"Smiling": 2.0}}, "distilled without emphasis on Smiling"),
        ({"guidance": {"musk": 2.0}}, "unknown source 'musk'"),
        ({"guidance_interval": (0.2, 0.8)}, "guidance_interval: a distilled model has"),
        ({"guidance_rescale": 0.5}, "guidance_rescale: a distilled model has"),
        ({"feature_reuse": 2}, "feature_reuse: steps of a distilled model"),
    ],
)
def test_what_it_cannot_do_is_said(
    distilled: FacePipeline, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        distilled("Smiling", MASK, seeds=[0, 1], **options)


def test_a_scale_of_what_it_does_not_read_does_nothing(
    make_pipeline: Callable[..., FacePipeline],
) -> None:
    table = Routing.from_dict(make_pipeline().unet.config.routing)
    rules = parse_rules([{"source": "attributes", "layers": "*"}], table.layers, "rules")
    blind = make_pipeline(
        {
            "guidance_ranges": {"attributes": [1.0, 3.0]},
            "route": lambda layers: Routing("blind", layers, rules, ("attributes",)),
        },
        guidance={"attributes": 1.5, "mask": 1.25},
    )
    told = calls(blind, num_inference_steps=1, reads_mask=False)
    assert told == [(1000.0, [[1.0, 1.5]] * 2)]


def test_conditions_cannot_come_and_go(distilled: FacePipeline) -> None:
    with pytest.raises(UserError, match="routing: a distilled model takes whole steps"):
        distilled.use_windows({"mask": (0.0, 0.5)})


def test_a_sampler_with_other_moments_is_refused(distilled: FacePipeline) -> None:
    usual = distilled.scheduler
    try:
        distilled.scheduler = type(usual)(shift=3.0)
        with pytest.raises(UserError, match="scheduler: its settings lead to other moments"):
            distilled("Smiling", MASK, seeds=[0])
        distilled.scheduler = UniPCMultistepScheduler(use_flow_sigmas=True)
        with pytest.raises(UserError, match="which 'UniPCMultistepScheduler' does not take"):
            distilled("Smiling", MASK, seeds=[0])
    finally:
        distilled.scheduler = usual


def test_other_samplers_and_roles_are_refused(
    distilled: FacePipeline, make_pipeline: Callable[..., FacePipeline]
) -> None:
    with pytest.raises(UserError, match="which 'unipc' does not take"):
        distilled.use_scheduler("unipc")
    distilled.use_scheduler("euler")
    plain = make_pipeline()
    with pytest.raises(UserError, match="a distilled model knows whole steps alone"):
        plain("Smiling", MASK, seeds=[0], weaker=distilled, guidance={"weaker": 1.5})
    with pytest.raises(UserError, match="weaker: a distilled model has its guidance built in"):
        distilled("Smiling", MASK, seeds=[0], weaker=plain, guidance={"weaker": 1.5})
