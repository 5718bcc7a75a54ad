"""What an edited photo was made from, as a record that its PNG carries."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from facecond.data.masks import mask_png
from facecond.face_files.record import EDIT_SCHEMA, hash_of_weights
from facecond.labels import ATTRIBUTES, format_attributes
from facecond.provenance import versions
from facecond.storage import hash_of

if TYPE_CHECKING:
    from facecond.pipeline import FacePipeline

ORIGIN = "photo edited by facecond"


def edit_record(
    pipeline: FacePipeline,
    model: str,
    edited: Any,
    asked: Mapping[str, Any],
    solved: Mapping[str, Any],
) -> dict[str, Any]:
    """How one edit was made, as JSON values, with what it lost on the way.

    With the photo, the model and the layouts in it, the edit can be made again; nothing of it is
    random.

    Args:
        pipeline: what drew it, with its routing in place.
        model: path of the model.
        edited: an `editing.edit.EditedFace`.
        asked: what the command line said: photo, change, region, where layout and attributes are
            from.
        solved: strength, steps and how the ODE was solved.
    """
    import torch

    routing, trained = pipeline.unet.routing, pipeline.unet.trained_routing
    return {
        "schema": EDIT_SCHEMA,
        "origin": ORIGIN,
        **asked,
        "crop_sha256": hashlib.sha256(edited.photo.tobytes()).hexdigest(),
        **_attributes("attributes_before", edited.before),
        **_attributes("attributes", edited.after),
        "layout_png": _layout(edited.layout),
        "drawn_layout_png": _layout(edited.drawn_layout),
        "model": model,
        "model_hash": hash_of_weights(pipeline),
        "guidance": dict(edited.guidance),
        **solved,
        "routing": routing.name,
        "routing_hash": hash_of(routing.to_dict()),
        **({"routing_table": routing.to_dict()} if routing != trained else {}),
        "evaluations": edited.evaluations,
        "errors": edited.errors.as_json(),
        "device": pipeline.device.type,
        "precision": "float32",
        "threads": torch.get_num_threads(),
        "versions": versions(),
    }


def _attributes(name: str, values: np.ndarray) -> dict[str, Any]:
    stated = dict(zip(ATTRIBUTES, map(int, values), strict=True))
    return {name: format_attributes(values), f"{name}_values": stated}


def _layout(mask: np.ndarray) -> str:
    return base64.b64encode(mask_png(mask)).decode()
