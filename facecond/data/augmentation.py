"""Paired augmentation of image and mask. The only module that imports albumentations."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from facecond.errors import UserError
from facecond.labels import ATTRIBUTES, COLOUR_ATTRIBUTES, UNSPECIFIED, mirror_mask
from facecond.seeding import key_of, numpy_generator

_COLOUR_COLUMNS = [ATTRIBUTES.index(name) for name in sorted(COLOUR_ATTRIBUTES)]


class FaceAugmentation:
    """Augments a face so that its mask and attributes stay true; a pure function of the key.

    - flip: left to right, where left and right mask classes trade places.
    - affine: shifts, zooms, turns. Image and mask are reflected at the border; the mask takes the
      nearest class.
    - jitter: changes brightness and contrast, and only when every colour attribute
      (`labels.COLOUR_ATTRIBUTES`) is unspecified: black hair must stay black.

    Args:
        flip: probability of a flip, 0 to 1.
        affine: largest shift and change of scale as a share of the picture, 0 (none) to 0.3; the
            picture turns by up to 60 degrees times this.
        jitter: largest change of brightness and contrast as a share, 0 (none) to 0.3.

    Raises:
        UserError: a value out of range.
    """

    def __init__(self, flip: float = 0.5, affine: float = 0.0, jitter: float = 0.0) -> None:
        for name, value, top in (
            ("flip", flip, 1),
            ("affine", affine, 0.3),
            ("jitter", jitter, 0.3),
        ):
            if not 0 <= value <= top:
                fix = f"Give a number from 0 to {top}."
                raise UserError(f"'{name}' is {value}", "augmentation", fix)
        self.flip, self.affine, self.jitter = flip, affine, jitter
        self._affine = self._jitter = None
        if affine or jitter:
            os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else importing asks the net
            import albumentations
            import cv2

            if affine:
                moves = albumentations.Affine(
                    scale=(1 - affine, 1 + affine),
                    translate_percent=(-affine, affine),
                    rotate=(-60 * affine, 60 * affine),
                    interpolation=cv2.INTER_LINEAR,
                    mask_interpolation=cv2.INTER_NEAREST,
                    keep_ratio=True,
                    border_mode=cv2.BORDER_REFLECT_101,
                    p=1.0,
                )
                self._affine = albumentations.Compose([moves])
            if jitter:
                light = albumentations.RandomBrightnessContrast(
                    brightness_limit=jitter, contrast_limit=jitter, p=1.0
                )
                self._jitter = albumentations.Compose([light])

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments, as JSON values; equal settings augment equally."""
        return {"flip": self.flip, "affine": self.affine, "jitter": self.jitter}

    def __call__(
        self,
        image: np.ndarray,
        mask: np.ndarray,
        attributes: np.ndarray,
        key: tuple[int | str, ...],
    ) -> tuple[np.ndarray, np.ndarray]:
        """Augment one face; the inputs are left as they are.

        Args:
            image: uint8 [H, W, 3].
            mask: uint8 [H, W], classes 0..18 and 255.
            attributes: int8 [40].
            key: equal keys give equal results.

        Returns:
            image and mask of the same shapes and dtypes.
        """
        if numpy_generator(*key, "flip").random() < self.flip:
            image, mask = image[:, ::-1], mirror_mask(mask)
        if self._affine is not None:
            self._affine.set_random_seed(key_of(*key, "affine") % 2**32)
            moved = self._affine(image=np.ascontiguousarray(image), mask=mask)
            image, mask = moved["image"], moved["mask"]
        if self._jitter is not None and (attributes[_COLOUR_COLUMNS] == UNSPECIFIED).all():
            self._jitter.set_random_seed(key_of(*key, "jitter") % 2**32)
            image = self._jitter(image=np.ascontiguousarray(image))["image"]
        return np.ascontiguousarray(image), np.ascontiguousarray(mask)
