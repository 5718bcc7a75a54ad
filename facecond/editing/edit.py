"""Edit a face: invert it, change its conditions, draw it again, keep what was not to change.

The latents of the photo are inverted under its own conditions (`inversion`); on the way back, under
the new ones, every noise level takes the photo's own latents outside the changed cells, and the
picture takes the photo's own pixels outside the changed region (`regions`). Nothing is random.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facecond.editing.agreement import EditErrors, edit_errors
from facecond.editing.denoiser import conditioned
from facecond.editing.inversion import integrate, noise_levels
from facecond.editing.regions import Plan, cells_of, plan_edit, region_names, soft_weight
from facecond.errors import UserError
from facecond.labels import (
    ATTRIBUTES,
    PRESENT,
    UNSPECIFIED,
    check_exclusive,
    exclusive_with,
    format_attributes,
)
from facecond.models.pixels import pictures_to_network
from facecond.sampling.inputs import Attributes, mask_labels, read_attributes
from facecond.sampling.outputs import to_uint8

STEPS = 12
STRENGTH = 0.8
EMPHASIS = 3.0
"""Scale of an attribute that is set: noise that was inverted remembers the photo, and with 1 few
attributes turn below strength 1."""


@dataclass(frozen=True)
class EditedFace:
    """An edit and what there is to say of it.

    Attributes:
        image: the new face, uint8 [S, S, 3].
        photo: the face given, uint8 [S, S, 3].
        reconstruction: the photo inverted and drawn again under its own conditions; the difference
            is what the way there and back loses.
        weight: share of the new face in each pixel, float32 [S, S]: 0 = untouched.
        before, after: conditions, attributes int8 [40] each.
        layout, drawn_layout: of the photo, and the one the new face was drawn under, uint8 [S, S].
        guidance: scale per source or attribute of the way back.
        errors: by stage and region.
        evaluations: calls of the denoiser.
    """

    image: np.ndarray
    photo: np.ndarray
    reconstruction: np.ndarray
    weight: np.ndarray
    before: np.ndarray
    after: np.ndarray
    layout: np.ndarray
    drawn_layout: np.ndarray
    guidance: Mapping[str, float]
    errors: EditErrors
    evaluations: int


@torch.no_grad()
def edit_face(
    pipeline: Any,
    photo: np.ndarray,
    change: Attributes | None = None,
    *,
    mask: np.ndarray | Tensor | None = None,
    new_mask: np.ndarray | Tensor | None = None,
    attributes: Attributes | None = None,
    region: str | Sequence[str] | None = None,
    strength: float = STRENGTH,
    guidance: Mapping[str, float] | None = None,
    num_inference_steps: int = STEPS,
    after_step: Callable[[], object] | None = None,
    after_draft: Callable[[Callable[[], np.ndarray]], object] | None = None,
) -> EditedFace:
    """Change attributes or the layout of a face and keep the rest.

    Args:
        pipeline: a `FacePipeline`, on the device to compute on.
        photo: aligned face uint8 [S, S, 3] of the model's size.
        change: attributes to set, `"Smiling=1.5,-Eyeglasses"` or as the pipeline takes them for one
            face; those that exclude one that is switched on become open. Without a scale of its
            own each has `EMPHASIS`, which costs a pass; with 1 none.
        mask: layout of the photo, uint8 [S, S] (0..18, 255 = open). Without one the whole picture
            may change.
        new_mask: layout wanted; None = its own, open where a set attribute changes shapes.
        attributes: what the photo shows; what is not known stays open.
        region: names of `regions.REGIONS` that changes keep to; None = where each attribute shows
            and where the layouts differ.
        strength: noise level tau in (0, 1] that the inversion goes back to: 1 = all noise. More
            changes more.
        guidance: scale per source or attribute on the way back; None = the model's own.
        num_inference_steps: steps of the ODE, each way.
        after_step: called after each of `steps_of(num_inference_steps)` steps; what it raises ends
            the edit.
        after_draft: called before `after_step` on the way back under the new conditions, with what
            decodes the new face as it is expected there, uint8 [S, S, 3].

    Raises:
        UserError: a value out of range, a wrong shape, an unknown name, attributes that exclude
            each other, a condition that the model does not read, nothing to change.
    """
    size, device = pipeline.image_size, pipeline._execution_device
    if photo.shape != (size, size, 3) or photo.dtype != np.uint8:
        what = f"expected uint8 of shape {(size, size, 3)}, got {photo.dtype} {photo.shape}"
        raise UserError(what, "photo", "Give the aligned face at the model's size.")
    if not 0 < strength <= 1:
        raise UserError(f"{strength:g} is no noise level", "strength", "Use above 0, up to 1.")
    if num_inference_steps < 1:
        raise UserError(f"{num_inference_steps} steps", "num_inference_steps", "Use 1 or more.")
    turned, emphasis = _one_face(change)
    before, _ = _one_face(attributes)
    layout = _layout(mask, size)
    wanted = layout if new_mask is None else _layout(new_mask, size)
    _check_read(pipeline, turned, mask, new_mask, region)
    names = None if region is None else region_names(region)
    if mask is None:
        changes = bool((turned != UNSPECIFIED).any())
        if not changes:
            raise UserError("there is nothing to change", "change", "Name attributes to set.")
        plan = Plan(np.ones((size, size), bool), layout)
    else:
        shown = _not_yet(turned, before, emphasis, wanted is not layout)
        plan = plan_edit(layout, shown, wanted, names)
    after = turned_to(before, turned)
    scales = {ATTRIBUTES[column]: EMPHASIS for column in np.flatnonzero(turned != UNSPECIFIED)}
    scales |= dict(pipeline.config.guidance if guidance is None else guidance) | emphasis
    weight = soft_weight(plan.changed)

    schedule = pipeline.config["schedule"]
    clean = pipeline.first_stage.encode(pictures_to_network(photo[None].copy(), device)).float()
    own = conditioned(pipeline, before, layout)
    new = conditioned(pipeline, after, plan.layout, guidance=scales)
    levels = noise_levels(num_inference_steps, strength, schedule)

    def stepped(expected: Tensor, new_face: bool = False) -> None:
        if new_face and after_draft is not None:
            decode = pipeline.first_stage.decode
            after_draft(lambda: blended(photo, to_uint8(decode(expected))[0], weight))
        if after_step is not None:
            after_step()

    there = integrate(own, clean, levels, schedule, after_step=stepped)
    back = integrate(own, there.end, levels[::-1], schedule, after_step=stepped)
    cells = torch.from_numpy(cells_of(weight, clean.shape[-1])).to(device)  # [h, w]
    source = there.states[::-1]
    drawn = integrate(
        new,
        there.end,
        levels[::-1],
        schedule,
        keep=lambda i, x: torch.where(cells, x, source[i]),
        after_step=partial(stepped, new_face=True),
    )
    latents = torch.cat([clean, back.end, drawn.end])  # [3, C, h, w]
    if not torch.isfinite(latents).all():
        fix = "Its weights may hold NaN: take an earlier checkpoint."
        raise UserError("editing gave values that are not finite", "model", fix)
    through, again, face = to_uint8(pipeline.first_stage.decode(latents))  # [S, S, 3] each
    image = blended(photo, face, weight)
    pipeline.maybe_free_model_hooks()
    return EditedFace(
        image=image,
        photo=photo,
        reconstruction=again,
        weight=weight,
        before=before,
        after=after,
        layout=layout,
        drawn_layout=plan.layout,
        guidance={part: float(scale) for part, scale in scales.items()},
        errors=edit_errors(
            photo, through, again, face, image, weight,
            latents_rms=float((back.end - clean).square().mean().sqrt()),
            residual=max(there.residual, back.residual),
        ),
        evaluations=there.evaluations + back.evaluations + drawn.evaluations,
    )  # fmt: skip


def steps_of(num_inference_steps: int) -> int:
    """Steps of a whole edit: there, back as it was, and back under the new conditions."""
    return 3 * num_inference_steps


def _not_yet(
    turned: np.ndarray, before: np.ndarray, emphasis: Mapping[str, Any], relaid: bool
) -> np.ndarray:
    """Attributes int8 [40] to set that the photo does not show already, or that are emphasised.

    Raises:
        UserError: there are none, and no new layout (`relaid`) either.
    """
    strong = np.array([name in emphasis for name in ATTRIBUTES])
    left = np.where((turned != before) | strong, turned, UNSPECIFIED)
    if (turned != UNSPECIFIED).any() and (left == UNSPECIFIED).all() and not relaid:
        what = f"the photo shows {format_attributes(turned)} already, as far as is known"
        fix = "Emphasise it (Smiling=2), or leave out what the photo shows."
        raise UserError(what, "change", fix)
    return left


def turned_to(before: np.ndarray, turned: np.ndarray) -> np.ndarray:
    """Attributes int8 [40] with those set that `turned` names; what excludes one that is switched
    on becomes open.

    Raises:
        UserError: two that are switched on exclude each other.
    """
    check_exclusive(turned, "change")
    after = before.copy()
    for column in np.flatnonzero(turned == PRESENT):
        after[exclusive_with(ATTRIBUTES[column])] = UNSPECIFIED
    return np.where(turned != UNSPECIFIED, turned, after).astype(np.int8)


def blended(photo: np.ndarray, face: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Two pictures uint8 [S, S, 3] -> uint8 [S, S, 3]; where the weight of the face is 0, the
    photo's own pixels."""
    share = weight[..., None]
    return np.rint((1 - share) * photo + share * face).astype(np.uint8)


def _one_face(attributes: Attributes | None) -> tuple[np.ndarray, dict[str, Any]]:
    """Attributes of one face, int8 [40], and the emphasis by name."""
    values, emphasis = read_attributes(attributes)
    values = np.asarray(values)
    if values.shape != (len(ATTRIBUTES),) or not np.isin(values, (-1, 0, 1)).all():
        what = f"expected 40 values -1, 0, 1, got shape {values.shape}"
        raise UserError(what, "attributes", "Give those of one face.")
    return values.astype(np.int8), dict(emphasis)


def _layout(mask: np.ndarray | Tensor | None, size: int) -> np.ndarray:
    return mask_labels(mask, size, 1, 1, torch.device("cpu"))[0].numpy().copy()


def _check_read(pipeline: Any, turned: np.ndarray, mask: Any, new_mask: Any, region: Any) -> None:
    """Raise `UserError` for what the model cannot follow, or what needs the photo's layout."""
    reads = pipeline.condition_encoder.reads
    if new_mask is not None and "mask" not in reads:
        fix = "Take a model that was trained on masks, or leave the new layout out."
        raise UserError("this model reads no mask, so no layout can be asked for", "mask", fix)
    if (turned != UNSPECIFIED).any() and "attributes" not in reads:
        fix = "Take a model that was trained on attributes."
        raise UserError("this model reads no attributes", "change", fix)
    if mask is None and (new_mask is not None or region is not None):
        what = "the layout of the photo is not known"
        raise UserError(what, "mask", "Give it too: regions are found in it.")
