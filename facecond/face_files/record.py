"""What a face was made from, as a record, and the PNG that carries it as text."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from facecond.data.masks import mask_png, read_mask
from facecond.devices import machine
from facecond.errors import UserError
from facecond.labels import ANYTHING, ATTRIBUTES, format_attributes
from facecond.provenance import versions
from facecond.sampling.marks import MARK_SCHEMA, ORIGIN, TEXT_FIELD
from facecond.storage import hash_of

if TYPE_CHECKING:
    from facecond.pipeline import FacePipeline

SCHEMA = "facecond.face/1"
EDIT_SCHEMA = "facecond.edit/1"
"""Of an edited photo (`edit_record`)."""
REQUEST = (
    "seed", "attribute_values", "mask_sha256", "model_hash", "guidance", "guidance_interval",
    "guidance_rescale", "feature_reuse", "weaker_hash", "scheduler", "scheduler_hash", "steps",
    "routing_hash", "references",
)  # fmt: skip
"""Fields that say which face it is; the others say how its pixels were computed, and where."""

_HASHES: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


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
    *,
    batch_index: int = 0,
    interval: Sequence[float] | None = None,
    rescale: float = 0.0,
    reuse: int = 1,
    weaker: tuple[str, FacePipeline] | None = None,
    references: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """How one face is made, as JSON values: enough to make it again from the file alone, the model
    and the pictures of references.

    Args:
        pipeline: what draws it, with its scheduler and routing in place.
        model: path of the model.
        attributes: int8 [40].
        mask: uint8 [S, S].
        mask_name: file of the mask, or in a word where it comes from.
        guidance: scale per source or attribute; None = the model's own.
        steps: sampling steps; None = the model's own.
        batch_size, batch_index: faces drawn at a time, and the place of this one among them.
        interval, rescale, reuse, weaker: see `FacePipeline`; a weaker model with its path.
        references: as `face_files.references.described` tells of them.
    """
    record = {
        "schema": SCHEMA,
        "origin": ORIGIN,
        "seed": int(seed),
        "attributes": format_attributes(attributes),
        "attribute_values": dict(zip(ATTRIBUTES, map(int, attributes), strict=True)),
        "mask": mask_name,
        "mask_sha256": hashlib.sha256(mask.tobytes()).hexdigest(),
        **shared_record(
            pipeline, model, guidance, steps, interval=interval, rescale=rescale, reuse=reuse,
            weaker=weaker, references=references,
        ),
        "batch_size": batch_size,
        "batch_index": batch_index,
    }  # fmt: skip
    if (mask != ANYTHING).any():
        record["mask_png"] = base64.b64encode(mask_png(mask)).decode()
    return record


def shared_record(
    pipeline: FacePipeline,
    model: str,
    guidance: Mapping[str, float] | None,
    steps: int | None,
    *,
    interval: Sequence[float] | None = None,
    rescale: float = 0.0,
    reuse: int = 1,
    weaker: tuple[str, FacePipeline] | None = None,
    references: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """What faces of one drawing have in common, as JSON values: model, guidance, scheduler,
    routing, and where it was computed. The arguments are those of `face_record`."""
    import torch

    routing, trained = pipeline.unet.routing, pipeline.unet.trained_routing
    return {
        "model": model,
        "model_hash": hash_of_weights(pipeline),
        "guidance": dict(pipeline.config.guidance) if guidance is None else dict(guidance),
        "guidance_interval": None if interval is None else list(interval),
        "guidance_rescale": rescale,
        **({"feature_reuse": reuse} if reuse > 1 else {}),
        "weaker": None if weaker is None else weaker[0],
        "weaker_hash": None if weaker is None else hash_of_weights(weaker[1]),
        "scheduler": type(pipeline.scheduler).__name__,
        "scheduler_hash": scheduler_hash(pipeline.scheduler),
        "steps": pipeline.config.steps if steps is None else steps,
        "routing": routing.name,
        "routing_hash": hash_of(routing.to_dict()),
        **({"routing_table": routing.to_dict()} if routing != trained else {}),
        **({"references": [dict(one) for one in references]} if references else {}),
        "device": pipeline.device.type,
        "precision": pipeline.precision,
        **({"compiled": True} if pipeline.unet._compiled_call_impl is not None else {}),
        "threads": torch.get_num_threads(),
        "machine": machine(str(pipeline.device)),
        "versions": versions(),
    }


def hash_of_weights(pipeline: FacePipeline) -> str:
    """`weights_hash`, computed once per pipeline: its weights do not change while it draws."""
    from facecond.models.weights_hash import weights_hash

    if pipeline not in _HASHES:
        _HASHES[pipeline] = weights_hash(pipeline)
    return _HASHES[pipeline]


def scheduler_hash(scheduler: Any) -> str:
    """SHA-256 over the settings of a diffusers scheduler."""
    return hash_of({k: repr(v) for k, v in scheduler.config.items() if not k.startswith("_")})


def same_request(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether two records ask for the same face."""
    return all(first.get(name) == second.get(name) for name in REQUEST)


def mask_of(record: Mapping[str, Any], size: int, where: str | Path) -> np.ndarray:
    """The mask uint8 [size, size] that a record holds; all open where it holds none."""
    if "mask_png" not in record:
        return np.full((size, size), ANYTHING, np.uint8)
    try:
        content = base64.b64decode(record["mask_png"], validate=True)
    except ValueError:
        raise UserError("its mask is damaged", where, "Take the file as drawn.") from None
    mask = read_mask(Path(where), content=content)
    if hashlib.sha256(mask.tobytes()).hexdigest() != record["mask_sha256"]:
        raise UserError("its mask does not match its checksum", where, "Take the file as drawn.")
    return mask


def face_png(image: np.ndarray, record: Mapping[str, Any]) -> bytes:
    """Face uint8 [H, W, 3] -> PNG file with its record in the text field `facecond`."""
    info = PngInfo()
    info.add_text(TEXT_FIELD, json.dumps(record))
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def read_face(path: Path) -> tuple[np.ndarray, dict[str, Any]]:
    """Face uint8 [H, W, 3] and its record.

    Raises:
        UserError: no picture, no record, or one of another version.
    """
    from facecond.data.pictures import decoded, read_bytes

    picture = decoded(path, read_bytes(path))
    text = getattr(picture, "text", {}).get(TEXT_FIELD)
    if text is None:
        fix = "Name a PNG as `facecond sample` wrote it: other programs drop its text."
        raise UserError("it does not say how it was made", path, fix)
    try:
        record = json.loads(text)
        schema = record["schema"]
    except (ValueError, KeyError, TypeError, RecursionError):
        schema = record = None
    if record is not None and schema == EDIT_SCHEMA:
        fix = "Run `facecond edit` again as its record says."
        raise UserError("it is an edited photo, and its file does not hold the photo", path, fix)
    if record is not None and schema == MARK_SCHEMA:
        fix = "Name a face that `facecond sample` or the studio wrote."
        raise UserError("it does not say how it was made, only that it is synthetic", path, fix)
    if record is None or schema != SCHEMA:
        told = "of another version" if schema else "damaged, or of an earlier version"
        raise UserError(f"what it says of its making is {told}", path, f"It must be {SCHEMA}.")
    return np.array(picture.convert("RGB")), record
