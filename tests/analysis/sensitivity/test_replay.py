"""Runs that begin at a layer give what whole runs give."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from facecond.analysis.sensitivity.conditions import OTHER, OWN, KeysValues, everywhere
from facecond.analysis.sensitivity.faces import Faces
from facecond.analysis.sensitivity.replay import UNITS, Replay
from facecond.models.routing import Layer
from facecond.pipeline import FacePipeline


def test_a_resumed_run_is_a_whole_run(
    planted: Callable[..., FacePipeline], faces: Faces, layers: tuple[Layer, ...]
) -> None:
    pipeline, n, sources = planted(), 3, ("attributes", "mask")
    unet = pipeline.unet
    x_t = torch.randn(n, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    timestep = torch.tensor([900.0, 500.0, 20.0])
    parts = [each[:n] for each in (faces.own, faces.other)]
    gates = unet.gates().expand(n, -1, -1)
    values = KeysValues(unet, pipeline.condition_encoder, parts)
    own = everywhere(sources, 7, np.full(n, OWN))
    replay = Replay(unet)
    with torch.no_grad():
        recorded = replay.record(x_t, timestep, values.rows(own, np.arange(n), gates))
        tokens = pipeline.condition_encoder(
            torch.from_numpy(faces.own.attributes[:n]), torch.from_numpy(faces.own.masks[:n])
        )
        assert torch.allclose(recorded, unet(x_t, timestep, unet.conditions(tokens)).sample)
        rows = np.array([2, 0, 1, 1])  # other rows, another number of them
        for index, layer in enumerate(layers):
            choice = everywhere(sources, 7, np.full(4, OWN))
            choice["mask"][index, 1:] = OTHER
            whole = values.rows(choice, rows, gates)
            wanted = unet(x_t[rows], timestep[rows], whole).sample
            conditions = values.rows(choice, rows, gates, first=index)
            assert str(index - 1) not in conditions.projected
            inputs = (x_t[rows], timestep[rows], conditions)
            found = replay.resume(layer.id, torch.from_numpy(rows), *inputs)
            assert torch.allclose(found, wanted, atol=1e-6)
            assert torch.allclose(found[0], recorded[2], atol=1e-6)  # nothing was swapped in it
            assert not torch.allclose(found[1], recorded[0], atol=1e-5)


def test_the_network_is_left_as_it_was(
    planted: Callable[..., FacePipeline], faces: Faces, layers: tuple[Layer, ...]
) -> None:
    unet = planted().unet
    values = KeysValues(unet, planted().condition_encoder, [faces.own[:1]])
    choice = everywhere(("attributes", "mask"), 7, np.zeros(1, int))
    conditions = values.rows(choice, np.zeros(1, int), unet.gates()[None])
    replay = Replay(unet)
    x_t, timestep = torch.zeros(1, 3, 8, 8), torch.zeros(1)
    with torch.no_grad():
        before = replay.record(x_t, timestep, conditions)
        with pytest.raises(RuntimeError):  # a wrong number of channels
            replay.resume(layers[3].id, torch.zeros(1, dtype=int), x_t[:, :1], timestep, conditions)
        assert torch.equal(unet(x_t, timestep, conditions).sample, before)
    units = [unit for unit in unet.modules() if isinstance(unit, UNITS)]
    assert units and not any("forward" in vars(unit) for unit in units)
    assert not any(unit._forward_hooks for unit in units)
