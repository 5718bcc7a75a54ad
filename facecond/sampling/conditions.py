"""All conditions of one call of the pipeline, read and checked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facecond.diffusion.guidance import Scale
from facecond.errors import UserError
from facecond.models.reference import ReferenceReader
from facecond.sampling.inputs import (
    Attributes,
    References,
    attribute_values,
    batch_of,
    mask_labels,
    read_attributes,
    read_references,
    reference_faces,
)
from facecond.sampling.passes import Blend, Given


def read_batch(
    pipeline: Any,
    attributes: Attributes | None,
    mask: Tensor | np.ndarray | None,
    reference: References | None,
    blend: Blend | None,
    noise: tuple[Any, Any, Any],
    copies: int,
) -> tuple[Given, dict[str, Scale]]:
    """Conditions of a batch on the pipeline's device, and the emphasis by attribute.

    Args:
        pipeline: a `FacePipeline`; its call says what the others are.
        noise: seeds, generator and latents, of which one may say how many faces there are.

    Raises:
        UserError: a wrong shape or value; nothing to draw; an emphasis in a blend.
    """
    device, size = pipeline._execution_device, pipeline.image_size
    read, emphasis = read_attributes(attributes)
    faces = read_references(reference)
    batch = batch_of(read, mask, *noise, copies, faces)
    if batch < 1:
        fix = "Give seeds, or num_images_per_condition from 1 up."
        raise UserError("there is no face to draw", "num_images_per_condition", fix)
    faces = reference_faces(faces, batch, copies)
    values = attribute_values(read, batch, copies, device)
    labels = mask_labels(mask, size, batch, copies, device)
    taken = reader_of(pipeline)(faces, batch)
    given = Given(values, labels, taken, tuple(faces))
    if blend is None:
        return given, emphasis
    there, scaled = read_attributes(blend.attributes)
    if scaled:
        name = next(iter(scaled))
        fix = f"Name {name} alone here; a scale of both ends goes into guidance."
        raise UserError(f"'{name}' has a scale", "blend", fix)
    values = attribute_values(there, batch, copies, device)
    labels = mask_labels(blend.mask, size, batch, copies, device)
    share = torch.as_tensor(blend.share, dtype=torch.float32).expand(batch)
    return replace(given, towards=(Given(values, labels, taken), share)), emphasis


def reader_of(pipeline: Any) -> ReferenceReader:
    """What a pipeline reads references with, under the routing in use."""
    return ReferenceReader(
        pipeline.condition_encoder,
        pipeline.evidence_encoder,
        pipeline.first_stage,
        pipeline.unet.routed,
        pipeline._execution_device,
    )
