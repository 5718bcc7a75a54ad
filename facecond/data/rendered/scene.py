"""One face from its seed: what is painted, in which order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from facecond.data.rendered.accessories import (
    paint_clothes,
    paint_earrings,
    paint_glasses,
    paint_hat,
    paint_necklace,
)
from facecond.data.rendered.attributes import apply_overrides, visible_values
from facecond.data.rendered.backdrop import paint_backdrop
from facecond.data.rendered.canvas import Canvas
from facecond.data.rendered.eyes import paint_brows, paint_eyes
from facecond.data.rendered.factors import combine
from facecond.data.rendered.hair import paint_hair_behind, paint_hair_over
from facecond.data.rendered.head import paint_age, paint_ears, paint_face, paint_neck, paint_nose
from facecond.data.rendered.look import Look, hair_length, make_look, pose_of
from facecond.data.rendered.mouth import paint_facial_hair, paint_mouth
from facecond.data.rendered.parameters import FaceParameters, draw_face
from facecond.errors import UserError

SMALLEST, LARGEST = 64, 1024


@dataclass(frozen=True)
class RenderedFace:
    """A picture and what is true of it.

    image: uint8 RGB [S, S, 3]. mask: uint8 [S, S], classes 0..18 of `labels.MASK_CLASSES`.
    attributes: int8 [40], 1 present, 0 absent, -1 unspecified, order of `labels.ATTRIBUTES`.
    """

    image: np.ndarray
    mask: np.ndarray
    attributes: np.ndarray


def render(
    seed: int,
    index: int,
    size: int,
    *,
    overrides: Mapping[str, bool] | None = None,
    correlated: bool = True,
    appearance: int | None = None,
) -> RenderedFace:
    """Face `index` of the series `seed` at `size` pixels (64..1024).

    The same (seed, index) is the same face at every size. `overrides` sets attributes by name and
    leaves everything else as it was; what a drawn value contradicts gives way. `correlated` draws
    attributes together as they go together in portraits; otherwise independently. `appearance`
    names a face of the same series, which gives all that does not move the mask (`factors.py`);
    the mask stays that of face `index`. Overrides are set last.

    Raises `UserError` for a size out of range, an unknown or unclaimed attribute, and overrides
    that contradict each other.
    """
    if not SMALLEST <= size <= LARGEST:
        raise UserError(
            f"size {size} is out of range", "render", f"Choose {SMALLEST} to {LARGEST} pixels."
        )
    face = draw_face(seed, index, correlated)
    if appearance is not None:
        face = combine(face, draw_face(seed, appearance, correlated))
    p, drawn = face
    return compose(size, p, apply_overrides(drawn, overrides or {}))


def compose(size: int, p: FaceParameters, has: Mapping[str, bool]) -> RenderedFace:
    """The face of these parameters and resolved attribute values (see `apply_overrides`)."""
    canvas = Canvas(size, pose_of(p))
    look = make_look(canvas, p, has)
    paint_backdrop(canvas, p)
    _paint_sitter(canvas, look)
    if has["Blurry"]:
        for channel in canvas.image:
            channel[:] = cv2.GaussianBlur(channel, (0, 0), 0.022 * size)
    pixels = np.clip(canvas.image * 255 + np.float32(0.5), 0, 255).astype(np.uint8)
    image = np.ascontiguousarray(pixels.transpose(1, 2, 0))
    attributes = visible_values(has, hair_length(p) == "short")
    return RenderedFace(image, canvas.mask, attributes)


def _paint_sitter(canvas: Canvas, look: Look) -> None:
    """From back to front."""
    paint_hair_behind(canvas, look)
    paint_neck(canvas, look)
    paint_clothes(canvas, look)
    paint_necklace(canvas, look)
    paint_ears(canvas, look)
    face = paint_face(canvas, look)
    paint_age(canvas, look, face)
    paint_facial_hair(canvas, look, face)
    paint_nose(canvas, look)
    paint_mouth(canvas, look)
    paint_eyes(canvas, look)
    paint_brows(canvas, look)
    paint_hair_over(canvas, look, face)
    paint_earrings(canvas, look)
    paint_glasses(canvas, look)
    paint_hat(canvas, look, face)
