"""Sampled faces as files: a PNG whose text says how the face was made."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from facecond.labels import format_attributes

if TYPE_CHECKING:
    from facecond.pipeline import FacePipeline

TEXT_FIELD = "facecond"
"""Text field of the PNG that holds the record as JSON."""


def face_record(
    pipeline: FacePipeline,
    model: str,
    seed: int,
    attributes: np.ndarray,
    mask: np.ndarray,
    mask_name: str,
    guidance: Mapping[str, float] | None,
    steps: int | None,
    batch_size: int,
) -> dict[str, Any]:
    """How one face is made, as JSON values.

    Args:
        pipeline: what draws it, with its scheduler and routing in place.
        model: path of the model.
        attributes: int8 [40].
        mask: uint8 [S, S].
        mask_name: file of the mask, or in a word where it comes from.
        guidance: scale per source; None = the model's own.
        steps: sampling steps; None = the model's own.
        batch_size: faces drawn at a time.
    """
    routing = pipeline.unet.routing
    record = {
        "seed": seed,
        "attributes": format_attributes(attributes),
        "mask": mask_name,
        "mask_sha256": hashlib.sha256(mask.tobytes()).hexdigest(),
        "model": model,
        "guidance": dict(pipeline.config.guidance) if guidance is None else dict(guidance),
        "scheduler": type(pipeline.scheduler).__name__,
        "steps": steps or pipeline.config.steps,
        "routing": routing.name,
        "batch_size": batch_size,
        "device": pipeline.device.type,
        "precision": pipeline.precision,
    }
    if routing != pipeline.unet.trained_routing:
        record["routing_table"] = routing.to_dict()
    return record


def face_png(image: np.ndarray, record: Mapping[str, Any]) -> bytes:
    """Face uint8 [H, W, 3] -> PNG file with its record in the text field `facecond`."""
    info = PngInfo()
    info.add_text(TEXT_FIELD, json.dumps(record))
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()
