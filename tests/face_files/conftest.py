"""A tiny saved model, and an artist that draws with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facecond.face_files.drawing import Artist, FaceRequest, Settings
from facecond.labels import parse_attributes
from facecond.pipeline import FacePipeline

SIZE = 32


@pytest.fixture(scope="session")
def saved_model(
    make_pipeline: Callable[..., FacePipeline], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Folder of an untrained model of 32 px."""
    pipeline = make_pipeline(steps=3, guidance={"mask": 2.0})
    path = tmp_path_factory.mktemp("face_files") / "model"
    pipeline.save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def artist(saved_model: Path) -> Artist:
    return Artist(Settings(str(saved_model)), "cpu")


def request(name: str = "face", seed: int = 7, **changes: Any) -> FaceRequest:
    draw = np.random.default_rng(seed)
    given = {
        "attributes": parse_attributes("Smiling,-Eyeglasses"),
        "mask": draw.integers(0, 19, (SIZE, SIZE)).astype(np.uint8),
        "mask_name": "painted",
        "guidance": {"mask": 2.0},
    }
    return FaceRequest(name, seed, **(given | changes))


@pytest.fixture(scope="session")
def ask() -> Any:
    """Make a request; arguments replace the defaults."""
    return request


@pytest.fixture(scope="session")
def made(artist: Artist) -> tuple[Artist, FaceRequest, np.ndarray]:
    """An artist, a request and its face."""
    asked = request()
    return artist, asked, artist.draw([asked])[0][0]
