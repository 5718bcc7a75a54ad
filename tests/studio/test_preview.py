"""Previews: on a straight path two latents tell where it ends."""

from __future__ import annotations

import numpy as np
import torch

from facecond.diffusion.paths import t_of_timestep
from facecond.pipeline import to_uint8
from facecond.studio.preview import Preview
from facecond.studio.session import ModelSession


def test_two_points_of_a_straight_path_tell_its_end(session: ModelSession) -> None:
    pipeline = session.pipeline
    pipeline.scheduler.set_timesteps(4)
    draw = torch.Generator().manual_seed(0)
    clean, noise = (torch.randn(2, 6, 8, 8, generator=draw) for _ in range(2))
    times = [float(t_of_timestep("flow", t)) for t in pipeline.scheduler.timesteps[1:]]
    preview = Preview()
    seen = [
        preview.pictures(pipeline, step, (1 - t) * clean + t * noise, wanted=True)
        for step, t in enumerate([*times, 0.0])
    ]
    with torch.no_grad():
        expected = to_uint8(pipeline.first_stage.decode(clean)).astype(int)
    assert seen[0] is None  # one point is not enough
    for picture in seen[1:]:
        assert picture is not None and np.abs(picture - expected).max() <= 1


def test_what_nobody_wants_is_not_decoded(session: ModelSession) -> None:
    session.pipeline.scheduler.set_timesteps(2)
    latents = torch.zeros(1, 6, 8, 8)
    preview = Preview()
    assert preview.pictures(session.pipeline, 0, latents, wanted=True) is None
    assert preview.pictures(session.pipeline, 1, latents, wanted=False) is None
