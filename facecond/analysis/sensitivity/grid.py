"""The grid whose statistics are recorded: attribute settings x masks x noise seeds.

Settings are what test faces say of the attributes that a mask leaves open (appearance); geometry is
left to the mask, so that no cell asks for glasses on a face without them. What a setting still
needs of a mask (hair for a hair colour) every mask of the grid has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facecond.analysis.sensitivity.instances import contradicted
from facecond.data.prepared import PreparedFolder
from facecond.errors import UserError
from facecond.labels import ANYTHING, APPEARANCE, ATTRIBUTES, UNSPECIFIED
from facecond.seeding import key_of, numpy_generator

FACES = 256
"""Test faces among which settings and masks are looked for."""


@dataclass(frozen=True)
class Grid:
    """A full factorial in the order (setting, mask, seed).

    Attributes:
        settings: int8 [A, 40], of the faces in `setting_rows` int64 [A].
        masks: uint8 [M, S, S], of the faces in `mask_rows` int64 [M].
        seeds: noise seeds [K], the same for every setting and mask.
    """

    setting_rows: np.ndarray
    settings: np.ndarray
    mask_rows: np.ndarray
    masks: np.ndarray
    seeds: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Settings, masks, seeds."""
        return len(self.settings), len(self.masks), len(self.seeds)

    def __len__(self) -> int:
        return int(np.prod(self.shape))

    def cells(self) -> np.ndarray:
        """int64 [3, N]: place of each sample's setting, mask and seed."""
        return np.stack(np.unravel_index(np.arange(len(self)), self.shape))


def choose_grid(folder: PreparedFolder, settings: int, masks: int, seeds: int, seed: int) -> Grid:
    """A grid from the test split: settings that differ most from one another, masks at random.

    Raises:
        UserError: the split has not so many settings and masks that go together.
    """
    indices = folder.indices("test")
    drawn = numpy_generator(seed, "sensitivity", "grid").permutation(len(indices))[:FACES]
    faces = np.sort(indices[drawn])
    order = numpy_generator(seed, "sensitivity", "order").permutation(faces)
    painted = {row: mask for row in map(int, order) if (mask := folder.mask(row)).min() < ANYTHING}
    settings_of = {row: _appearance(folder.attributes[row]) for row in map(int, order)}
    said = {row: values for row, values in settings_of.items() if (values != UNSPECIFIED).any()}
    # A mask that few settings contradict leaves the most to choose from.
    fits = {
        row: sum(not contradicted(values, mask).any() for values in said.values())
        for row, mask in painted.items()
    }
    chosen = sorted(painted, key=lambda row: -fits[row])[: max(masks, len(painted) // 2)]
    chosen = sorted(chosen, key=list(order).index)[:masks]
    open_to_all = [
        row
        for row, values in said.items()
        if not any(contradicted(values, painted[mask]).any() for mask in chosen)
    ]
    picked = _far_apart({row: said[row] for row in open_to_all}, settings)
    if len(chosen) < masks or len(picked) < settings:
        raise UserError(
            f"the test split has {len(chosen)} masks and {len(picked)} different settings of "
            f"attributes that go together; {masks} and {settings} are wanted",
            folder.root,
            "Lower --masks and --settings, use --quick, or prepare more test faces.",
        )
    rows = np.array(picked, np.int64), np.array(chosen, np.int64)
    noise = tuple(key_of(seed, "sensitivity", "noise", k) >> 33 for k in range(seeds))
    values = np.stack([said[row] for row in picked])
    return Grid(rows[0], values, rows[1], np.stack([painted[row] for row in chosen]), noise)


def _appearance(values: np.ndarray) -> np.ndarray:
    """Values int8 [40] with those of geometry left open."""
    free = np.array([name in APPEARANCE for name in ATTRIBUTES])
    return np.where(free, values, UNSPECIFIED).astype(np.int8)


def _far_apart(settings: dict[int, np.ndarray], count: int) -> list[int]:
    """Rows of up to `count` settings, each as far as can be from those before; none comes twice."""
    rows = list(settings)
    if not rows:
        return []
    values = np.stack([settings[row] for row in rows])
    picked, distance = [0], (values != values[0]).sum(1)
    while len(picked) < count and distance.max() > 0:
        picked.append(int(distance.argmax()))
        distance = np.minimum(distance, (values != values[picked[-1]]).sum(1))
    return [rows[place] for place in picked]
