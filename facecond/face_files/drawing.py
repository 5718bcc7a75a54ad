"""Requests -> faces with their records, batch by batch.

The faces of a batch all need the same passes of guidance. So the shape of all computations follows
from the request, the size of its batch and its place there, and a face can be made again bit for
bit without knowing its neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facecond.devices import check_compiler
from facecond.face_files.record import face_png, face_record, shared_record
from facecond.labels import ANYTHING, ATTRIBUTES, UNSPECIFIED
from facecond.memory import FewerAtATime
from facecond.storage import atomic_file

if TYPE_CHECKING:
    from facecond.models.reference import Reference
    from facecond.pipeline import FacePipeline


@dataclass(frozen=True)
class FaceRequest:
    """A face to draw.

    Attributes:
        name: of its file, without `.png`.
        attributes: int8 [40].
        mask: uint8 [S, S].
        mask_name: file of the mask, or in a word where it comes from.
        guidance: scale per source or attribute, and `weaker`.
    """

    name: str
    seed: int
    attributes: np.ndarray
    mask: np.ndarray
    mask_name: str
    guidance: Mapping[str, float]


@dataclass(frozen=True)
class Settings:
    """What all faces of a job share; None = the model's own.

    Attributes:
        model: folder.
        scheduler: name (`diffusion/schedulers.py`).
        routing: preset, file or table.
        windows: source -> (lo, hi) in tau.
        interval, rescale: of guidance.
        reuse: number of steps that deep features are used for.
        weaker: folder of a weaker model.
        references: with what a record says of them.
        threads: of a process; None leaves them.
        compile: run the denoiser through `torch.compile`.
    """

    model: str
    steps: int | None = None
    scheduler: str | None = None
    routing: Any = None
    windows: Mapping[str, tuple[float, float]] | None = None
    interval: tuple[float, float] | None = None
    rescale: float = 0.0
    reuse: int = 1
    weaker: str | None = None
    references: tuple[tuple[Mapping[str, Any], Reference], ...] = ()
    batch_size: int = 32
    threads: int | None = None
    compile: bool = False


class Artist:
    """A loaded model that draws under settings.

    Args:
        device: `cuda`, `cpu`, ...; None = the GPU, where there is one.
        pipeline: the model, where it is loaded already; then its device, scheduler and routing are
            kept where the settings name none.

    Raises:
        UserError: a model that cannot be loaded or does not fit the settings, no compiler.
    """

    def __init__(
        self, settings: Settings, device: str | None = None, pipeline: FacePipeline | None = None
    ) -> None:
        import torch

        from facecond.pipeline import load_pipeline

        if settings.threads is not None:
            torch.set_num_threads(settings.threads)
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.settings, self._warned = settings, set[str]()
        self._fewer = FewerAtATime()
        self.pipeline = load_pipeline(settings.model).to(device) if pipeline is None else pipeline
        if settings.scheduler:
            self.pipeline.use_scheduler(settings.scheduler)
        if settings.routing is not None:
            self.pipeline.use_routing(settings.routing)
        if settings.windows:
            self.pipeline.use_windows(settings.windows)
        self.weaker = load_pipeline(settings.weaker).to(device) if settings.weaker else None
        if settings.compile:
            check_compiler(device, "--compile")
            for one in filter(None, (self.pipeline, self.weaker)):
                one.unet.compile()

    def record(self, request: FaceRequest, size: int = 1, index: int = 0) -> dict[str, Any]:
        """What is to be said of a face, drawn at a place of a batch of a size."""
        return {
            "file": f"{request.name}.png",
            **face_record(
                self.pipeline, self.settings.model, request.seed, request.attributes, request.mask,
                request.mask_name, request.guidance, self.settings.steps, size, batch_index=index,
                **self._told(),
            ),
        }  # fmt: skip

    def shared(self, guidance: Mapping[str, float]) -> dict[str, Any]:
        """What is to be said of all faces with these scales (`shared_record`)."""
        settings = self.settings
        return shared_record(
            self.pipeline, settings.model, guidance, settings.steps, **self._told()
        )

    def _told(self) -> dict[str, Any]:
        settings = self.settings
        return {
            "interval": settings.interval,
            "rescale": settings.rescale,
            "reuse": settings.reuse,
            "weaker": (settings.weaker, self.weaker) if settings.weaker and self.weaker else None,
            "references": [told for told, _ in settings.references],
        }

    def draw(
        self, batch: Sequence[FaceRequest], **options: Any
    ) -> tuple[np.ndarray, tuple[int, ...]]:
        """Faces uint8 [B, S, S, 3], and which references are unlike any face of the training.

        Args:
            options: of the pipeline's call, beside what requests and settings say.

        Raises:
            UserError: as the pipeline.
        """
        settings = self.settings
        drawn = self.pipeline(
            attributes=np.stack([request.attributes for request in batch]),
            mask=np.stack([request.mask for request in batch]),
            seeds=[request.seed for request in batch],
            guidance=_scales(batch),
            num_inference_steps=settings.steps,
            reference=[reference for _, reference in settings.references],
            guidance_interval=settings.interval,
            guidance_rescale=settings.rescale,
            feature_reuse=settings.reuse,
            weaker=self.weaker,
            **options,
        )
        return drawn.images, drawn.strange

    def write(self, batch: Sequence[FaceRequest], out: Path) -> Iterator[dict[str, Any]]:
        """Draw a batch and write its files; yield their records. Where memory runs out, fewer are
        drawn at a time."""
        for part, (images, strange) in self._fewer(self.draw, batch):
            self._warn(strange)
            for index, (request, image) in enumerate(zip(part, images, strict=True)):
                record = self.record(request, len(part), index)
                with atomic_file(out / record["file"]) as temporary:
                    temporary.write_bytes(face_png(image, record))
                yield record

    def _warn(self, strange: Sequence[int]) -> None:
        """Name, once, the references that are unlike any face of the training."""
        for file in {self.settings.references[number][0]["file"] for number in strange}:
            if file not in self._warned:
                print(f"warning: {file}: unlike any face that the model was trained on")
            self._warned.add(file)


def batches(requests: Sequence[FaceRequest], size: int) -> list[list[FaceRequest]]:
    """Parts of up to `size` requests that need the same passes, in the order of their firsts."""
    alike: dict[tuple[str, ...], list[FaceRequest]] = {}
    for request in requests:
        alike.setdefault(_passes(request), []).append(request)
    parts = [group[i : i + size] for group in alike.values() for i in range(0, len(group), size)]
    place = {id(request): number for number, request in enumerate(requests)}
    return sorted(parts, key=lambda part: place[id(part[0])])


def _passes(request: FaceRequest) -> tuple[str, ...]:
    """What decides which passes a face needs: scales that are 0, and scales with something to
    hide."""
    there = {"mask": bool((request.mask != ANYTHING).any())}
    there["attributes"] = bool((request.attributes != UNSPECIFIED).any())
    there |= dict(zip(ATTRIBUTES, (request.attributes != UNSPECIFIED).tolist(), strict=True))
    return tuple(
        f"{part} hidden" if scale == 0 else part
        for part, scale in sorted(request.guidance.items())
        if scale != 1 and there.get(part, True)
    )


def _scales(batch: Sequence[FaceRequest]) -> dict[str, Any]:
    """Scale per part, and per face where they differ."""
    import torch

    parts = dict.fromkeys(part for request in batch for part in request.guidance)
    found: dict[str, Any] = {}
    for part in parts:
        values = [float(request.guidance.get(part, 1.0)) for request in batch]
        found[part] = values[0] if len(set(values)) == 1 else torch.tensor(values)
    return found
