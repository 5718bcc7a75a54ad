"""Which conditions are asked for: test rows, noise seeds, and changes of one thing at a time."""

from __future__ import annotations

import numpy as np

from facecond.data.prepared import PreparedFolder
from facecond.errors import UserError
from facecond.labels import (
    ABSENT,
    ANYTHING,
    ATTRIBUTES,
    EXCLUSIVE,
    MASK_CLASSES,
    PRESENT,
    UNSPECIFIED,
    exclusive_with,
)
from facecond.seeding import key_of, numpy_generator

HAIR = EXCLUSIVE[0]

OPENED = (("hair", "hat"), ("nose", "mouth", "u_lip", "l_lip"), ("eye_g", "l_eye", "r_eye"))
"""Groups of classes that a partial mask leaves open; one more variant opens its left half."""


def condition_rows(
    folder: PreparedFolder, n: int | None, seed: int, or_fewer: bool = False
) -> np.ndarray:
    """`n` rows (None: all) of the test split that have both a mask and attributes, int64 [n], in an
    order drawn by `seed`; none comes twice. Raises `UserError` when there are fewer, unless
    `or_fewer`, and when there are not even 2."""
    if n is not None and n < 2:
        what = "the floor pairs each face with the condition of another"
        raise UserError(what, "--n", "Ask for 2 test conditions or more.")
    indices = folder.indices("test")
    order = numpy_generator(seed, "evaluate", "rows").permutation(len(indices))
    chosen: list[int] = []
    for i in map(int, indices[order]):
        known = (folder.attributes[i] != UNSPECIFIED).any()
        if len(chosen) != n and known and (folder.mask(i) != ANYTHING).any():
            chosen.append(i)
    wanted = 2 if n is None or or_fewer else n
    if len(chosen) < wanted:
        raise UserError(
            f"{wanted} test faces with mask and attributes are wanted, {len(chosen)} are there",
            folder.root,
            f"Use --n {len(chosen)}." if len(chosen) > 1 else "Prepare more test faces.",
        )
    return np.array(chosen, np.int64)


def noise_seed(seed: int, row: int, sample: int = 0) -> int:
    """The seed of a face for this row; sample 0 is the one that the main scores read."""
    keys = (seed, "evaluate", row) if sample == 0 else (seed, "evaluate", row, sample)
    return key_of(*keys) >> 33


def masks_of(folder: PreparedFolder, rows: np.ndarray) -> np.ndarray:
    """Masks of rows, uint8 [n, S, S]."""
    return np.stack([folder.mask(int(row)) for row in rows])


def images_of(folder: PreparedFolder, rows: np.ndarray) -> np.ndarray:
    """Pictures of rows, uint8 [n, S, S, 3]."""
    return np.stack([folder.image(int(row)) for row in rows])


def switched(values: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """int8 [..., 40] -> the same with `name` absent and present; what it excludes is open."""
    base = values.copy()
    base[..., exclusive_with(name)] = UNSPECIFIED
    off, on = base.copy(), base
    column = ATTRIBUTES.index(name)
    off[..., column], on[..., column] = ABSENT, PRESENT
    return off, on


def partly_open(mask: np.ndarray, variant: int) -> np.ndarray:
    """A copy of a mask uint8 [S, S] with a region left open (255); there are `len(OPENED) + 1`
    variants, used in turn."""
    opened = mask.copy()
    group = variant % (len(OPENED) + 1)
    if group == len(OPENED):
        opened[:, : opened.shape[1] // 2] = ANYTHING
    else:
        opened[np.isin(mask, [MASK_CLASSES.index(name) for name in OPENED[group]])] = ANYTHING
    return opened
