"""The model behind the page: one pipeline that draws one request at a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facecond.diffusion.shortcut import STEP_COUNTS
from facecond.editing.edit import edit_face, steps_of
from facecond.editing.inversion import solver_facts
from facecond.face_files import face_png
from facecond.face_files.drawing import Artist, FaceRequest, Settings
from facecond.face_files.edit_record import edit_record
from facecond.face_files.references import described
from facecond.labels import format_attributes
from facecond.pipeline import FacePipeline, load_pipeline
from facecond.sampling.few_step import is_distilled
from facecond.studio.codec import file_text, preview_text
from facecond.studio.edits import EditRequest
from facecond.studio.limits import SCALE, STEPS
from facecond.studio.line import Event, Job
from facecond.studio.preview import Preview
from facecond.studio.references import takes
from facecond.studio.request import DrawRequest
from facecond.studio.routing_grid import grid

PREVIEW_SECONDS = 0.25
"""A preview costs a pass through the decoder: no more of them than the eye needs."""


class ModelSession:
    """Draws requests. Not for two threads at once: `Line` has one.

    Args:
        model: folder of a saved model.

    Raises:
        UserError: as `load_pipeline`.
    """

    def __init__(self, model: str | Path) -> None:
        self.model = str(model)
        self.pipeline: FacePipeline = load_pipeline(model)
        self.pipeline.to("cuda" if torch.cuda.is_available() else "cpu")

    @property
    def image_size(self) -> int:
        """Side of pictures and masks in pixels."""
        return self.pipeline.image_size

    @property
    def reads(self) -> tuple[str, ...]:
        """Conditions that the model reads."""
        return tuple(self.pipeline.condition_encoder.reads)

    @property
    def sources(self) -> tuple[str, ...]:
        """What a scale may be given for: conditions that the model reads, and references."""
        return (*self.reads, "reference") if self.taught else self.reads

    @property
    def taught(self) -> tuple[str, ...]:
        """What the model can take from a reference; nothing, where it reads none."""
        return self.pipeline.condition_encoder.taught

    def described(self) -> dict[str, Any]:
        """What the page needs to know, as JSON values."""
        config = self.pipeline.config
        return {
            "name": _name_of(Path(self.model)),
            "size": self.image_size,
            "steps": min(int(config.steps), STEPS),
            "step_counts": STEP_COUNTS if is_distilled(self.pipeline) else None,
            "ranges": self.pipeline.unet.config.guidance_ranges,
            "guidance": {s: min(config.guidance.get(s, 1.0), SCALE) for s in self.sources},
            "takes": takes(self.taught),
            "routing": grid(self.pipeline.unet.trained_routing),
            "device": "GPU" if self.pipeline.device.type == "cuda" else "CPU",
        }

    def draw(self, request: DrawRequest, job: Job) -> Event:
        """Sample the faces of a request; tells `job` how it goes.

        Raises:
            Cancelled: the job was cancelled.
            UserError: as the pipeline.
        """
        started = time.monotonic()
        shown, preview = started, Preview()

        def after_step(
            pipeline: FacePipeline, step: int, timestep: Tensor, given: dict[str, Tensor]
        ) -> dict[str, Tensor]:
            nonlocal shown
            job.check()
            total = len(pipeline.scheduler.timesteps)
            event: Event = {"state": "drawing", "step": step + 1, "steps": total}
            wanted = step + 1 < total and time.monotonic() - shown >= PREVIEW_SECONDS
            pictures = preview.pictures(pipeline, step, given["latents"], wanted)
            if pictures is not None:
                shown = time.monotonic()
                event["previews"] = [preview_text(picture) for picture in pictures]
            job.events.put(event)
            return {}

        job.events.put({"state": "drawing", "step": 0, "steps": request.steps})
        told = described(request.references)
        taken = tuple(zip(told, (reference for _, reference in request.references), strict=True))
        settings = Settings(
            self.model, steps=request.steps, routing=request.routing, references=taken
        )
        artist = Artist(settings, pipeline=self.pipeline)
        batch = [
            FaceRequest(
                f"face_{seed}", seed, request.attributes, request.mask, "painted", request.guidance
            )
            for seed in request.seeds
        ]
        pictures, numbers = artist.draw(batch, callback_on_step_end=after_step)
        faces = []
        for index, (asked, picture) in enumerate(zip(batch, pictures, strict=True)):
            record = artist.record(asked, len(batch), index)
            faces.append({"seed": asked.seed, "png": file_text(face_png(picture, record))})
        strange = sorted({told[number]["file"] for number in numbers})
        seconds = time.monotonic() - started
        return {"state": "done", "faces": faces, "seconds": seconds, "strange": strange}

    def edit(self, request: EditRequest, job: Job) -> Event:
        """Edit the photo of a request; tells `job` how it goes.

        Raises:
            Cancelled: the job was cancelled.
            UserError: as `edit_face`.
        """
        started, steps, total = time.monotonic(), count(1), steps_of(request.steps)
        shown, previews = started, []

        def after_draft(picture: Callable[[], np.ndarray]) -> None:
            nonlocal shown
            if time.monotonic() - shown >= PREVIEW_SECONDS:
                previews.append(preview_text(picture()))
                shown = time.monotonic()

        def after_step() -> None:
            job.check()
            event: Event = {"state": "drawing", "step": next(steps), "steps": total}
            if previews:
                event["previews"] = [previews.pop()]
            job.events.put(event)

        job.events.put({"state": "drawing", "step": 0, "steps": total})
        self.pipeline.use_routing(request.routing)
        edited = edit_face(
            self.pipeline,
            request.photo,
            request.change,
            mask=request.layout,
            new_mask=request.new_layout,
            attributes=request.shown,
            region=request.region,
            strength=request.strength,
            guidance=request.guidance,
            num_inference_steps=request.steps,
            after_step=after_step,
            after_draft=after_draft,
        )
        asked = {
            "photo": request.name,
            "change": format_attributes(request.change),
            "region": request.region,
            "mask": None if request.new_layout is None else "painted",
            "layout_from": request.layout_from,
            "attributes_from": request.attributes_from,
        }
        solved = solver_facts(request.steps, request.strength)
        record = edit_record(self.pipeline, self.model, edited, asked, solved)
        png = file_text(face_png(edited.image, record | {"file": "edited.png"}))
        return {
            "state": "done",
            "faces": [{"seed": None, "png": png}],
            "seconds": time.monotonic() - started,
            "kept": edited.errors.untouched_share,
            "there_and_back": edited.errors.reconstruction.psnr,
        }


def _name_of(model: Path) -> str:
    """`runs/mine/model` -> `mine`: the last folder that has a name of its own."""
    parts = [part for part in model.resolve().parts if part not in ("model", "run")]
    return parts[-1]
