"""From the request that the page sends to its 8 faces, through the studio's endpoint."""

from __future__ import annotations

import base64
import io
import shutil
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from facecond.benchmarks.checks import CheckFailed
from facecond.benchmarks.contender import Contender, Entries
from facecond.benchmarks.pipelines import untrained
from facecond.benchmarks.settings import Settings
from facecond.benchmarks.work import Work, random_batch, work_of
from facecond.labels import ATTRIBUTES
from facecond.studio.codec import mask_text
from facecond.studio.endpoints import Endpoints
from facecond.studio.limits import COUNT
from facecond.studio.line import Line
from facecond.studio.session import ModelSession
from facecond.studio.starts import Starts

FACES = 8


def entries(settings: Settings, case: str) -> Entries:
    """The studio with the model that was named, or an untrained one of CPU size."""
    return {f"{min(FACES, COUNT)} faces": partial(_contender, settings)}


def wish_of(
    work: Work, settings: Settings, described: Mapping[str, Any], repeat: int, faces: int
) -> dict[str, Any]:
    """What the page sends for so many faces: another mask, other attributes and another seed in
    every repeat.

    Args:
        described: what the model says of itself (`ModelSession.described`).
    """
    size = described["size"]
    batch = random_batch(work, 1, repeat, settings)
    mask = np.asarray(batch.mask[0].cpu()).astype(np.uint8)
    mask = mask.repeat(-(-size // len(mask)), 0).repeat(-(-size // len(mask)), 1)[:size, :size]
    asked = batch.attributes[0].cpu().tolist()
    return {
        "job": f"job-{repeat % 10**8:08d}",
        "client": "benchmark-client",
        "mask": mask_text(mask),
        "attributes": dict(zip(ATTRIBUTES[:5], asked[:5], strict=True)),
        "guidance": described["guidance"],
        "steps": described["steps"],
        "seed": 100 + repeat,
        "count": faces,
        "off": [],
    }


def _contender(settings: Settings) -> Contender:
    work = work_of("", settings)
    place = Path(tempfile.mkdtemp(prefix="facecond-benchmark-"))
    model = settings.model or untrained(place / "model", work, settings)
    session = ModelSession(model)
    faces, size = (2 if settings.quick else FACES), session.image_size
    endpoints = Endpoints(session, Starts(size), Line())
    described = session.described()

    def run(wish: dict[str, Any], out: Tensor) -> None:
        *_, last = endpoints.draw(wish)
        if last["state"] != "done":
            raise CheckFailed(f"the studio answered {last}")
        for row, face in zip(out, last["faces"], strict=True):
            picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(face["png"]))))
            row.copy_(torch.from_numpy(picture.copy()))

    return Contender(
        prepare=lambda repeat: wish_of(work, settings, described, repeat, faces),
        run=run,
        shape=(faces, size, size, 3),
        units=faces,
        unit="faces",
        facts={"steps": described["steps"], "model": settings.model or "untrained"},
        close=lambda: shutil.rmtree(place, ignore_errors=True),
    )
