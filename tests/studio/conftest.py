"""A small untrained model, saved once, and what the studio makes of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facecond.pipeline import FacePipeline
from facecond.studio.codec import mask_text
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
