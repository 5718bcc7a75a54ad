"""The passes that several probes read: samples, real pictures, and the pictures trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from facecond import metrics
from facecond.data.prepared import PreparedFolder
from facecond.evaluation.conditions import masks_of
from facecond.evaluation.context import Context
from facecond.evaluation.generation import Arrays
from facecond.evaluation.verdicts import judge_features, judge_images
from facecond.models.pixels import pictures_to_network
from facecond.pipeline import to_uint8
from facecond.sampling.marks import ORIGIN, png_text
from facecond.seeding import numpy_generator

REFERENCE_LIMIT = 4096
"""Most pictures of the generator's split that distances are taken to."""


class FirstStage(Protocol):
    """Pixels <-> latents."""

    def encode(self, images: Tensor) -> Tensor: ...

    def decode(self, latents: Tensor) -> Tensor: ...


def samples(context: Context) -> Arrays:
    """One sample of every condition.

    For each judge k: `own{k}`, `other{k}` (mask counts against the own mask and the partner's),
    `pixels{k}`, `pixels_other{k}`, `present{k}`. Besides: `features` of the first classifier,
    `extracted` of the extractor if there is one, and the first pictures as `shown` and `parsed`.
    """

    def measure(images: np.ndarray, part: slice) -> Arrays:
        rows = context.rows[part]
        shown = max(context.keep - part.start, 0)
        found = _compare(context, images, part)
        partners = masks_of(context.folder, context.rows[context.partner[part]])
        for k in range(len(context.judges)):
            masks = found.pop(f"masks{k}")
            found[f"other{k}"] = metrics.mask_counts(partners, masks)
            found[f"pixels_other{k}"] = metrics.pixel_counts(partners, masks)
            if k == 0:
                found |= {"shown": images[:shown], "parsed": masks[:shown]}
        if context.extractor is not None:
            found["extracted"] = context.extractor.features(images)
        if context.images_out is not None:
            _save(images, [context.folder.names[row] for row in rows], context.images_out)
        return found

    requests = context.requests(np.arange(len(context.rows)))
    return context.parts.get("samples", lambda: context.sample(requests, measure, "generate"))


def real(context: Context) -> Arrays:
    """The real pictures of the conditions, measured like `samples` without `other`; also
    `rebuilt` and `rebuilt_extracted`, features of their first-stage reconstructions."""

    def measure(images: np.ndarray, part: slice) -> Arrays:
        found = _compare(context, images, part)
        for k in range(len(context.judges)):
            del found[f"masks{k}"]
        rebuilt = reconstruct(context.pipeline, images)
        found["rebuilt"] = judge_features(context.judges[0].classifier.model, rebuilt)
        if context.extractor is not None:
            found["extracted"] = context.extractor.features(images)
            found["rebuilt_extracted"] = context.extractor.features(rebuilt)
        return found

    return context.parts.get(
        "real", lambda: context.real(context.rows, measure, "score real pictures")
    )


def reference_rows(folder: PreparedFolder, seed: int) -> np.ndarray:
    """Up to `REFERENCE_LIMIT` rows of the generator's split, int64 [m]."""
    rows = folder.indices("generator")
    if len(rows) > REFERENCE_LIMIT:
        order = numpy_generator(seed, "evaluate", "reference").permutation(len(rows))
        rows = np.sort(rows[order[:REFERENCE_LIMIT]])
    return rows


def reference(context: Context) -> Arrays:
    """`features` (and `extracted`) of the pictures that distances are taken to."""
    rows = reference_rows(context.folder, context.seed)

    def measure(images: np.ndarray, part: slice) -> Arrays:
        found = {"features": judge_features(context.judges[0].classifier.model, images)}
        if context.extractor is not None:
            found["extracted"] = context.extractor.features(images)
        return found

    return context.parts.get("reference", lambda: context.real(rows, measure, "reference"))


@torch.inference_mode()
def reconstruct(pipeline: Any, images: np.ndarray) -> np.ndarray:
    """Pictures uint8 [B, S, S, 3] through the first stage and back."""
    first_stage: FirstStage = pipeline.first_stage
    pixels = pictures_to_network(images, getattr(first_stage, "device", torch.device("cpu")))
    rebuilt = first_stage.decode(first_stage.encode(pixels)).float()  # [B, 3, S, S]
    return to_uint8(rebuilt)


def _compare(context: Context, images: np.ndarray, part: slice) -> Arrays:
    """Each judge's masks of pictures, and how they agree with the masks of their rows."""
    masks = masks_of(context.folder, context.rows[part])
    found: Arrays = {}
    for k, judges in enumerate(context.judges):
        verdict = judge_images(judges, images)
        found[f"masks{k}"] = verdict.masks
        found[f"own{k}"] = metrics.mask_counts(masks, verdict.masks)
        found[f"pixels{k}"] = metrics.pixel_counts(masks, verdict.masks)
        found[f"present{k}"] = verdict.present
        if k == 0:
            found["features"] = verdict.features
    return found


def _save(images: np.ndarray, names: list[str], out: Path) -> None:
    for name, image in zip(names, images, strict=True):
        Image.fromarray(image).save(out / f"{name}.png", pnginfo=png_text(ORIGIN))
