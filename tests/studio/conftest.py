"""A small untrained model, saved once, and what the studio makes of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from facecond.data.writing import encode_png
from facecond.labels import ATTRIBUTES
from facecond.metrics.attribute_calibration import calibrate
from facecond.models.evidence import load_evidence
from facecond.models.judges import AttributeClassifier, FaceParser
from facecond.models.routing import preset
from facecond.pipeline import FacePipeline
from facecond.storage import write_json
from facecond.studio.codec import file_text, mask_text
from facecond.studio.session import ModelSession

SIZE = 32


@pytest.fixture(scope="session")
def model(
    make_pipeline: Callable[..., FacePipeline], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Folder of a pipeline of 32 px that draws in milliseconds."""
    pipeline = make_pipeline(guidance={"mask": 2.0})
    path = tmp_path_factory.mktemp("studio") / "tiny" / "model"
    pipeline.save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def session(model: Path) -> ModelSession:
    return ModelSession(model)


@pytest.fixture(scope="session")
def student(
    make_pipeline: Callable[..., FacePipeline], tmp_path_factory: pytest.TempPathFactory
) -> ModelSession:
    """A distilled model, which was taught scales of the mask alone."""
    pipeline = make_pipeline({"guidance_ranges": {"mask": [1.0, 3.0]}}, guidance={"mask": 2.0})
    path = tmp_path_factory.mktemp("studio") / "student" / "model"
    pipeline.save_pretrained(path)
    return ModelSession(path)


@pytest.fixture(scope="session")
def reader(
    make_pipeline: Callable[..., FacePipeline], tmp_path_factory: pytest.TempPathFactory
) -> ModelSession:
    """A model that takes appearance, geometry and blond hair from references."""
    encoder = load_evidence("latents", SIZE, (6, 8, 8), grid=4)
    qformer = {"evidence_shape": list(encoder.config.tokens), "dim": 16, "queries": 3, "heads": 2}
    known = ("appearance", "geometry", "Blond_Hair")
    architecture = {
        "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
        "reference": lambda sources: {"reference": qformer, "instructions": known},
        "route": partial(preset, "deadiff"),
    }
    pipeline = make_pipeline(architecture, steps=2, evidence_encoder=encoder)
    generator = torch.Generator().manual_seed(5)
    for part in (pipeline.unet, pipeline.condition_encoder):
        for name, parameter in part.named_parameters():  # in a new one their values are zero
            if "to_kv.reference" in name or name.endswith("qformer.queries"):
                parameter.data.normal_(generator=generator)
    path = tmp_path_factory.mktemp("reader") / "reader" / "model"
    pipeline.save_pretrained(path)
    return ModelSession(path)


@pytest.fixture
def square() -> np.ndarray:
    """A picture of the model's size, uint8 [32, 32, 3]."""
    return np.random.default_rng(1).integers(0, 256, (SIZE, SIZE, 3), np.uint8)


@pytest.fixture
def reference(square: np.ndarray) -> dict[str, Any]:
    """What the page sends for it."""
    content, take = file_text(encode_png(square)), ["appearance", "geometry"]
    return {"name": "1.jpg", "content": content, "take": take, "weight": 0.8}


@pytest.fixture
def wish() -> dict[str, Any]:
    """What the page sends for two faces."""
    return {
        "job": "job-00000001",
        "client": "client-00000001",
        "mask": mask_text(np.full((SIZE, SIZE), 13, np.uint8)),
        "attributes": {"Smiling": 1, "Eyeglasses": 0},
        "guidance": {"mask": 2.0, "attributes": 1},
        "steps": 3,
        "seed": 7,
        "count": 2,
        "off": [],
    }


@pytest.fixture
def edit_wish(square: np.ndarray) -> dict[str, Any]:
    """What the page sends for an edit of it, all of whose pixels are face and hair."""
    photo = {
        "name": "me.jpg",
        "png": file_text(encode_png(square)),
        "mask": mask_text(np.full((SIZE, SIZE), 13, np.uint8)),
        "shown": {"Smiling": 1},
    }
    return {
        "job": "job-00000002",
        "client": "client-00000002",
        "photo": photo,
        "mask": None,
        "where": ["hair", "ears"],
        "strength": 0.6,
        "attributes": {"Blond_Hair": 1, "Eyeglasses": 0},
        "guidance": {"mask": 2.0},
        "steps": 2,
        "off": [],
    }


@pytest.fixture(scope="module")
def judges(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Paths of a parser, and of a classifier that is sure of itself and of what it reads."""
    path = tmp_path_factory.mktemp("judges")
    FaceParser(width=8, image_size=48).save_pretrained(path / "parser")
    classifier = AttributeClassifier(width=8, image_size=24)
    classifier.head[-1].bias.data = torch.linspace(-9, 9, len(ATTRIBUTES))
    classifier.save_pretrained(path / "classifier")
    logits = np.linspace(-4, 4, 200)
    told = calibrate(logits, (logits > 0).astype(np.int8)).as_json()
    scores = {
        "per_attribute": dict.fromkeys(ATTRIBUTES, 0.98),
        "calibration": dict.fromkeys(ATTRIBUTES, told),
    }
    write_json(path / "classifier" / "scores.json", scores)
    return str(path / "parser"), str(path / "classifier")
