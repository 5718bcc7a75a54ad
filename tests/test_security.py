"""What stands in files of others is read, never run; and what is too large is not opened.

Names that lead out of a folder are refused where they are read: tests/face_files/test_rows.py,
tests/studio/test_photos.py, tests/studio/test_request.py.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from facecond.config import RunConfig, load
from facecond.config.studies import load_study
from facecond.data.annotations import read_mapping
from facecond.data.latents import LatentCache
from facecond.data.masks import read_mask
from facecond.data.pictures import read_photo
from facecond.errors import UserError
from facecond.evaluation.counts import read_counts
from facecond.models.routing import load_routing
from facecond.models.routing.layers import Layer
from facecond.models.weights_file import read_weights
from facecond.pipeline import FacePipeline, load_pipeline
from facecond.training import checkpoint


class Payload:
    """Unpickled, it makes a folder."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.place),)


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A folder that is there once a payload was run."""
    return tmp_path / "trap"


@pytest.fixture
def pickled(trap: Path) -> bytes:
    return pickle.dumps(Payload(trap))


@pytest.fixture
def as_array(trap: Path) -> bytes:
    """An array file of objects."""
    buffer = io.BytesIO()
    np.save(buffer, np.array([Payload(trap)], object), allow_pickle=True)
    return buffer.getvalue()


def as_torch(trap: Path) -> bytes:
    buffer = io.BytesIO()
    torch.save({"weight": Payload(trap)}, buffer)
    return buffer.getvalue()


def test_the_payload_would_run(pickled: bytes, as_array: bytes, trap: Path) -> None:
    for run in (
        lambda: pickle.loads(pickled),
        lambda: np.load(io.BytesIO(as_array), allow_pickle=True),
        lambda: torch.load(io.BytesIO(as_torch(trap)), weights_only=False),
    ):
        run()
        trap.rmdir()


@pytest.mark.parametrize("name", ["parser.pth", "parser.pt", "parser.bin", "parser.safetensors"])
def test_weights_of_others(name: str, pickled: bytes, trap: Path, tmp_path: Path) -> None:
    for content in (pickled, as_torch(trap)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match="its weights cannot be read"):
            read_weights(tmp_path / name, "Take another one.")
        assert not trap.exists()


@pytest.fixture
def model(make_pipeline: Callable[..., FacePipeline], tmp_path: Path) -> Path:
    path = tmp_path / "model"
    make_pipeline().save_pretrained(path)
    return path


@pytest.mark.parametrize("name", ["diffusion_pytorch_model.bin", "pytorch_model.bin"])
def test_a_model_whose_weights_are_pickled(name: str, model: Path, trap: Path) -> None:
    (model / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    (model / "checksums.json").unlink()
    (model / "unet" / name).write_bytes(as_torch(trap))
    with pytest.raises(UserError, match="cannot be loaded"):
        load_pipeline(model)
    assert not trap.exists()


@pytest.mark.parametrize("beside", ["model", "unet"])
def test_a_model_that_brings_code(beside: str, model: Path, trap: Path) -> None:
    """As diffusers' repositories may, for those who trust them."""
    code = f"import os\nos.mkdir({str(trap)!r})\nclass Code: pass\n"
    for folder in (model, model / "unet"):
        for name in ("payload.py", "pipeline.py", "unet.py"):
            (folder / name).write_text(code)
    index = json.loads((model / "model_index.json").read_text())
    index["unet"] = ["payload", "Code"]
    if beside == "model":
        index["_class_name"] = ["payload", "Code"]
    (model / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match="cannot be loaded"):
        load_pipeline(model)
    assert not trap.exists()


def test_arrays_of_objects(as_array: bytes, trap: Path, tmp_path: Path) -> None:
    (tmp_path / "attributes.npy").write_bytes(as_array)
    with pytest.raises(ValueError, match="allow_pickle"):
        LatentCache(tmp_path, {"identity": {"seed": 0, "variants": 1}})
    with open(tmp_path / "counts.npz", "wb") as file:
        np.savez(file, rows=np.array([Payload(trap)], object))
    with pytest.raises((UserError, ValueError)):
        read_counts(tmp_path / "counts.npz")
    assert not trap.exists()


def test_a_checkpoint_of_pickled_tensors(pickled: bytes, trap: Path, tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, 1, {"a": torch.zeros(2)}, keep=2)
    (path / "tensors.safetensors").write_bytes(pickled)
    with pytest.raises(UserError, match="damaged"):
        checkpoint.load(path)
    assert not trap.exists()


TAGS = ("!!python/object/apply:os.mkdir", "!!python/object/new:os.mkdir", "!!python/name:os.mkdir")


@pytest.mark.parametrize("tag", TAGS)
def test_tags_of_yaml(tag: str, trap: Path, tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    layers = (Layer("down_blocks.0", "down", 8),)
    readers: tuple[Callable[[], Any], ...] = (
        lambda: load(RunConfig, path),
        lambda: load_study(path),
        lambda: load_routing(path, layers),
        lambda: read_mapping(path),
    )
    for content in (f"data: {tag} [{trap}]\n", f"{tag} [{trap}]\n"):
        path.write_text(content)
        for read in readers:
            with pytest.raises(UserError):
                read()
            assert not trap.exists()


def test_an_interpolation_reads_the_environment_and_nothing_else(tmp_path: Path) -> None:
    for text in ("${eval:1+1}", "${python:os.getcwd}", "${oc.create:x}"):
        (tmp_path / "a.yaml").write_text(f'data: {{root: "{text}"}}\n')
        with pytest.raises(UserError):
            load(RunConfig, tmp_path / "a.yaml")


def bomb(width: int, height: int) -> bytes:
    """A PNG that says it is so large, in a few bytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(10_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [30_000, 100_000])
def test_bombs_of_pixels(side: int, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(bomb(side, side))
    assert path.stat().st_size < 1000
    for read in (read_photo, read_mask):
        with pytest.raises(UserError, match=r"a\.png"):
            read(path)
