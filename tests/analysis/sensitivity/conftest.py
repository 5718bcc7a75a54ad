"""Tiny random models whose routing is planted, and faces to measure them on. Nothing is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from facecond.analysis.sensitivity.analyse import Sensitivity, assemble
from facecond.analysis.sensitivity.faces import Condition, Faces
from facecond.analysis.sensitivity.instances import redrawn, restated
from facecond.analysis.sensitivity.measuring import measure_swaps
from facecond.analysis.sensitivity.options import Options
from facecond.analysis.sensitivity.unfinished import Unfinished
from facecond.diffusion.schedulers import scheduler
from facecond.labels import ATTRIBUTES
from facecond.models.conditions import ConditionEncoder
from facecond.models.first_stage import FirstStage, fit_linear
from facecond.models.routing import Layer, Routing, Rule, preset
from facecond.models.unet import FaceUNet
from facecond.pipeline import FacePipeline
from facecond.seeding import key_of, numpy_generator, torch_generator

SIZE, LATENT, DIM, GRID = 16, 8, 12, 4
UNET: dict[str, Any] = {
    "sample_size": LATENT,
    "in_channels": 3,
    "out_channels": 3,
    "block_out_channels": (16, 32),
    "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    "layers_per_block": 1,
    "attention_head_dim": (2, 4),
    "norm_num_groups": 8,
    "cross_attention_dim": DIM,
    "mask_grid": GRID,
}
Gates = dict[str, Sequence[float]]


@pytest.fixture(scope="session")
def layers() -> tuple[Layer, ...]:
    """The 7 cross-attention layers of the tiny models, in order of execution."""
    with torch.device("meta"):
        return FaceUNet(**UNET).trained_routing.layers


@pytest.fixture(scope="session")
def stage() -> FirstStage:
    """A linear patch code of random pictures."""
    pictures = torch.rand(64, 3, SIZE, SIZE, generator=torch_generator(0)) * 2 - 1
    first_stage = fit_linear(pictures, 2, 3)
    first_stage.measure([pictures])
    return first_stage.eval()


@pytest.fixture(scope="session")
def planted(layers: tuple[Layer, ...], stage: FirstStage) -> Callable[..., FacePipeline]:
    """A random model with these gates: source -> one number per layer (None: all of them 1)."""

    def make(
        gates: Gates | None = None, seed: int = 0, combine: str = "sum", routing: Any = None
    ) -> FacePipeline:
        table = routing or preset("all_all", layers, combine=combine)
        if gates is not None:
            ids = tuple(layer.id for layer in layers)
            rules = tuple(Rule(s, ids, tuple(map(float, scales))) for s, scales in gates.items())
            table = Routing("planted", layers, rules, tuple(gates), combine)
        with torch.random.fork_rng():
            torch.manual_seed(key_of(seed, "planted") >> 1)
            unet = FaceUNet(**UNET, routing=table.to_dict()).eval().requires_grad_(False)
            encoder = ConditionEncoder(DIM, SIZE, GRID, table.sources, ATTRIBUTES[:20])
        encoder = encoder.eval().requires_grad_(False)
        return FacePipeline(unet, encoder, stage, scheduler("euler"), steps=2)

    return make


@pytest.fixture(scope="session")
def faces() -> Faces:
    """12 faces of random blocks, each with the condition of the next one."""
    count, draw = 12, numpy_generator(0, "faces")
    masks = draw.integers(0, 19, (count, 4, 4)).astype(np.uint8)
    masks = masks.repeat(SIZE // 4, 1).repeat(SIZE // 4, 2)
    values = draw.integers(0, 2, (count, 40)).astype(np.int8)
    images = draw.integers(0, 256, (count, SIZE, SIZE, 3)).astype(np.uint8)
    same = Condition(
        np.stack([restated(v, i) for i, v in enumerate(values)]),
        np.stack([redrawn(m, i) for i, m in enumerate(masks)]),
    )
    other = Condition(np.roll(values, -1, 0), np.roll(masks, -1, 0))
    return Faces(np.arange(count), images, Condition(values, masks), other, same)


@pytest.fixture(scope="session")
def options() -> Options:
    """Two bins, no grid."""
    return Options(images=12, bins=2, quick=True)


@pytest.fixture(scope="session")
def intervene(faces: Faces, options: Options) -> Callable[..., Sensitivity]:
    """Scores of the interventions on a model."""

    def run(pipeline: FacePipeline, chosen: Faces = faces) -> Sensitivity:
        store = Unfinished(None, {})
        measured = measure_swaps(pipeline, chosen, options, store)
        return assemble(options, pipeline.unet.routing, chosen, None, measured, store, [])

    return run
