"""Where `facecond sample` takes the conditions of its faces from: a file, data, the renderer."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from facecond.errors import UserError
from facecond.labels import ANYTHING, ATTRIBUTES, UNSPECIFIED


def sample_conditions(
    args: argparse.Namespace, given: np.ndarray | None, size: int, seeds: list[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Attributes int8 [n, 40] and masks uint8 [n, size, size] of the faces to draw."""
    attributes = np.full((len(seeds), len(ATTRIBUTES)), UNSPECIFIED, np.int8)
    masks = np.full((len(seeds), size, size), ANYTHING, np.uint8)
    if args.mask == "random" and args.data:
        from facecond.data.prepared import PreparedFolder
        from facecond.seeding import key_of

        folder = PreparedFolder.open(args.data)
        if folder.image_size != size:
            raise UserError(
                f"its pictures have {folder.image_size} px, the model draws {size}",
                args.data,
                f"Prepare the data with --size {size}.",
            )
        rows = folder.indices("test")
        for index, seed in enumerate(seeds):
            row = int(rows[key_of(seed, "condition") % len(rows)])
            masks[index] = folder.mask(row)
            attributes[index] = folder.attributes[row] if given is None else given
    elif args.mask == "random":
        from facecond.data.masks import random_face

        for index, seed in enumerate(seeds):
            masks[index], drawn = random_face(seed, size)
            attributes[index] = drawn if given is None else given
    else:
        if args.data:
            raise UserError("--data goes with --mask random", "--data", "Add --mask random.")
        if args.mask:
            from facecond.data.masks import read_mask

            masks[:] = read_mask(Path(args.mask), size)
        if given is not None:
            attributes[:] = given
    return attributes, masks
