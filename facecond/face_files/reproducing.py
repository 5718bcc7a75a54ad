"""A file of a face -> the same face again, and how far the two are from each other.

At the batch, number format, threads, kind of device and processor that the file names, with the
same versions, the pixels are equal bit for bit; batch, threads and, where there is one, the kind of
device are taken from the file. Elsewhere sums are rounded in another order. What a file does not
tell (those of before do not name the processor) may have been another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facecond.boxed import model_folder
from facecond.errors import UserError
from facecond.face_files.checking import checked_record
from facecond.face_files.drawing import Artist, FaceRequest, Settings
from facecond.face_files.record import hash_of_weights, mask_of, read_face, scheduler_hash
from facecond.labels import ATTRIBUTES
from facecond.provenance import versions

if TYPE_CHECKING:
    from facecond.models.reference import Reference

TOLERANCE = {"float32": (2, 0.1), "bfloat16": (16, 1.0)}
"""Largest and mean difference in grey levels that another order of rounding may make, where either
side multiplied in this format; float16 is taken for bfloat16."""
ReadReference = Callable[[Mapping[str, Any]], "Reference"]


@dataclass(frozen=True)
class Reproduction:
    """A face drawn again.

    Attributes:
        image: uint8 [S, S, 3].
        record: of the new drawing.
        largest, mean: difference from the file, in grey levels.
        other: what was not as recorded, in words; where nothing was, pixels must be equal.
        tolerance: largest and mean difference that is allowed.
    """

    image: np.ndarray
    record: dict[str, Any]
    largest: int
    mean: float
    other: tuple[str, ...]
    tolerance: tuple[float, float]

    @property
    def identical(self) -> bool:
        """Whether every pixel is equal."""
        return self.largest == 0

    @property
    def within(self) -> bool:
        """Whether the difference is one that was to be expected."""
        limits = self.tolerance if self.other else (0.0, 0.0)
        return self.largest <= limits[0] and self.mean <= limits[1]


def reproduce(
    path: Path,
    model: str | None,
    read_reference: ReadReference,
    batch_size: int | None = None,
    weaker: str | None = None,
) -> Reproduction:
    """Draw the face of a file again.

    Args:
        path: PNG that `facecond sample` or the studio wrote.
        model, weaker: folders; None takes those that the file names.
        read_reference: what a record says of a reference -> the reference, its pixels checked.
        batch_size: faces drawn at a time; None takes the recorded one.

    Raises:
        UserError: the file says nothing of its making, or what it says is damaged; another model,
            by its weights; a scheduler that cannot be had; as the pipeline.
    """
    original, record = read_face(path)
    checked_record(record, path)
    if weaker is not None and record["weaker"] is None:
        raise UserError("it was drawn without a weaker model", path, "Leave --weaker out.")
    settings, request = _asked(record, model, weaker, read_reference, path, original.shape[0])
    size, index = record["batch_size"], record["batch_index"]
    if batch_size is not None:
        size, index = batch_size, min(index, batch_size - 1)
    artist = _artist(settings, record, path)
    # Its neighbours decide nothing but the size of the batch: copies take their places.
    image = artist.draw([request] * size)[0][index]
    again = artist.record(request, size, index)
    difference = np.abs(image.astype(int) - original.astype(int))
    formats = {record["precision"], again["precision"]}
    return Reproduction(
        image,
        again,
        int(difference.max()),
        float(difference.mean()),
        _other(record, again),
        TOLERANCE["float32" if formats == {"float32"} else "bfloat16"],
    )


def _asked(
    record: Mapping[str, Any],
    model: str | None,
    weaker: str | None,
    read_reference: ReadReference,
    path: Path,
    size: int,
) -> tuple[Settings, FaceRequest]:
    from facecond.models.routing import Routing

    table, interval = record.get("routing_table"), record["guidance_interval"]
    told = record.get("references", [])
    settings = Settings(
        model=model or record["model"],
        steps=record["steps"],
        routing=None if table is None else Routing.from_dict(table, str(path)),
        interval=None if interval is None else (float(interval[0]), float(interval[1])),
        rescale=float(record["guidance_rescale"]),
        reuse=record.get("feature_reuse", 1),
        weaker=weaker or record["weaker"],
        references=tuple((one, read_reference(one)) for one in told),
        threads=record["threads"],
        compile=record.get("compiled", False),
    )
    values = record["attribute_values"]
    attributes = np.array([values[name] for name in ATTRIBUTES], np.int8)
    mask = mask_of(record, size, path)
    guidance = {part: float(scale) for part, scale in record["guidance"].items()}
    name = Path(record.get("file", path.name)).stem  # the studio did not always name one
    return settings, FaceRequest(name, record["seed"], attributes, mask, record["mask"], guidance)


def _artist(settings: Settings, record: Mapping[str, Any], path: Path) -> Artist:
    """Load the model and make sure that it is the one that drew the face."""
    _check_there("model", settings.model, "--model", path)
    if settings.weaker is not None:
        _check_there("weaker model", settings.weaker, "--weaker", path)
    device = _device(record["device"])
    artist = Artist(replace(settings, routing=None), device)  # first: is it the model at all?
    artist.settings = settings
    for what, option, wanted, found, where in (
        ("model", "--model", record["model_hash"], artist.pipeline, settings.model),
        ("weaker model", "--weaker", record["weaker_hash"], artist.weaker, settings.weaker),
    ):
        if found is not None and hash_of_weights(found) != wanted:
            told = f"it was drawn by another {what} (weights {wanted[:12]}) than {where}"
            raise UserError(told, path, f"Name the folder of that one: {option} DIR.")
    if settings.routing is not None:
        artist.pipeline.use_routing(settings.routing)
    if scheduler_hash(artist.pipeline.scheduler) != record["scheduler_hash"]:
        artist.pipeline.use_scheduler(record["scheduler"])
        artist.settings = replace(settings, scheduler=record["scheduler"])
    if scheduler_hash(artist.pipeline.scheduler) != record["scheduler_hash"]:
        told = f"its scheduler {record['scheduler']} had other settings"
        raise UserError(told, path, "Use the versions that the file names.")
    return artist


def _device(recorded: str) -> str | None:
    """The kind of device that a record names, where this machine has it; else None: the usual."""
    import torch

    there: Mapping[str, Callable[[], bool]] = {
        "cpu": lambda: True,
        "cuda": torch.cuda.is_available,
        "mps": torch.backends.mps.is_available,
    }
    return recorded if recorded in there and there[recorded]() else None


def _check_there(what: str, model: str, option: str, path: Path) -> None:
    """Raise `UserError` where no model is at its place, which may be the box."""
    try:
        there = (model_folder(model) / "model_index.json").is_file()
    except UserError:  # nothing is in the box
        there = False
    if not there:
        raise UserError(f"its {what} is not at {model}", path, f"Name its folder: {option} DIR.")


def _other(record: Mapping[str, Any], again: Mapping[str, Any]) -> tuple[str, ...]:
    """What decides the rounding and is not as recorded."""
    words = []
    for name, title in (
        ("batch_size", "batch"), ("precision", "number format"), ("threads", "threads"),
        ("device", "device"),
    ):  # fmt: skip
        if record[name] != again[name]:
            words.append(f"{title} {again[name]}, not {record[name]}")
    if record["device"] == again["device"]:
        told = record.get("machine", {})
        for name, title in (
            ("processor", "processor"), ("instructions", "instructions"),
            ("torch_build", "build of torch"),
        ):  # fmt: skip
            there, here_ = told.get(name), again["machine"].get(name)
            if there is None and here_ is not None:
                words.append(f"{title} {here_}, and the file does not tell which")
            elif there != here_:
                words.append(f"{title} {here_}, not {there}")
    here = versions()
    for package, version in record["versions"].items():
        if here.get(package) != version:
            words.append(f"{package} {here.get(package)}, not {version}")
    return tuple(words)
