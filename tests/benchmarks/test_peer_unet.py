"""A peer's UNet behind our interface: as many parameters, the same tokens, our pipeline."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from facecond.benchmarks import peers
from facecond.benchmarks.peer_unet import peer_denoiser
from facecond.benchmarks.pipelines import open_pipeline, pipeline_of
from facecond.benchmarks.settings import Settings
from facecond.benchmarks.work import own_denoiser, parameters_of, random_batch, work_of
from facecond.errors import UserError
from facecond.pipeline import FacePipeline

LDM = os.environ.get("FACECOND_LDM", "")
"""A checkout of CompVis/latent-diffusion, where there is one."""
KINDS = ["diffusers", pytest.param("ldm", marks=pytest.mark.skipif(not LDM, reason="FACECOND_LDM"))]


@pytest.fixture
def named(quick: Settings) -> Settings:
    if LDM:
        peers.register({"ldm": LDM})
    return quick


@pytest.mark.parametrize("kind", KINDS)
def test_a_peer_has_as_many_parameters(kind: str, named: Settings) -> None:
    for case, settings in (("forward-64", named), ("forward-256", replace(named, quick=False))):
        work = work_of(case, settings)
        with torch.device("meta"):
            own = parameters_of(own_denoiser(work, 0))
            theirs = parameters_of(peer_denoiser(kind, work, 0))
        assert abs(theirs / own - 1) < 0.001


@pytest.mark.parametrize("kind", KINDS)
def test_conditions_read_once_or_anew_give_the_same(kind: str, named: Settings) -> None:
    work = work_of("forward-64", named)
    model, batch = peer_denoiser(kind, work, 0).eval(), random_batch(work, 2, 0, named)
    with torch.no_grad():
        out = model(batch.latents, batch.t * 999, batch.attributes, batch.mask)
        tokens = model.condition_encoder(batch.attributes, batch.mask)
        kept = model.unet.project_conditions(tokens)
        again = model.unet(batch.latents, batch.t * 999, kept).sample
    assert out.shape == batch.latents.shape and torch.equal(out, again)
    joined = model.unet.joined(tokens)
    assert joined.shape[1] == work.tokens
    assert torch.equal(joined[:, 40:], tokens["mask"])
    same = peer_denoiser(kind, work, 0).state_dict()
    assert all(torch.equal(value, same[name]) for name, value in model.state_dict().items())


def test_a_peer_samples_in_our_pipeline_and_is_loaded_again(
    quick: Settings, tmp_path: Path
) -> None:
    work = work_of("sample-64", quick)
    model = peer_denoiser("diffusers", work, 0)
    made = pipeline_of(model, work, quick, "euler", steps=2, guidance={"mask": 2.0})
    attributes = np.zeros((2, 40), np.int8)
    mask = np.full((2, 32, 32), 13, np.uint8)
    faces = made(attributes, mask).images
    assert faces.shape == (2, 32, 32, 3)
    names = ("schedule", "prediction", "steps", "guidance")
    plain = FacePipeline(**made.components, **{name: made.config[name] for name in names})
    plain.save_pretrained(tmp_path / "model")
    again = open_pipeline(tmp_path / "model", quick)
    assert np.array_equal(again(attributes, mask).images, faces)
    peers._registered.clear()  # a saved model alone brings no code of others in
    with pytest.raises(UserError):
        open_pipeline(tmp_path / "model", quick)


def test_what_a_peer_cannot_do(quick: Settings) -> None:
    one_source = work_of("forward-64", quick, ["routing.sources=[attributes]"])
    with pytest.raises(UserError, match="peers read attributes and mask"):
        peer_denoiser("diffusers", one_source, 0)
    unet = peer_denoiser("diffusers", work_of("forward-64", quick), 0).unet
    unet.use_routing(unet.trained_routing)
    with pytest.raises(UserError, match="has no routing"):
        unet.use_routing(own_denoiser(work_of("forward-64", quick), 0).unet.routing)
