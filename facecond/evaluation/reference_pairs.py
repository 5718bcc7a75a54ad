"""Test faces in pairs: one that gives the conditions, and one to take something from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from facecond.data.appearance import appearance_attributes
from facecond.data.prepared import PreparedFolder
from facecond.evaluation.conditions import condition_rows
from facecond.labels import APPEARANCE, ATTRIBUTES, UNSPECIFIED
from facecond.seeding import numpy_generator


@dataclass(frozen=True)
class FacePairs:
    """Pairs of two test faces, as rows of the folder, int64 [n] each.

    Attributes:
        targets: give the conditions.
        references: what they do not say is to be taken from these.
        looks: show the appearance of the reference; with planted factors in the layout of the
            target, so that they are the very answer, else the reference itself.
        layouts: show the layout of the target; with planted factors the same faces as `looks`.
        mirrored_looks, mirrored_layouts: likewise, where the target gives the appearance and the
            layout is taken from the reference.
        groups: pairs of one number share a factor, and are not independent.
        appearance: which attributes count as appearance, bool [40].
        planted: whether the true answers are known.
    """

    targets: np.ndarray
    references: np.ndarray
    looks: np.ndarray
    layouts: np.ndarray
    mirrored_looks: np.ndarray
    mirrored_layouts: np.ndarray
    groups: np.ndarray
    appearance: np.ndarray
    planted: bool

    def __len__(self) -> int:
        return len(self.targets)

    def first(self, count: int) -> FacePairs:
        """The first pairs."""
        shared = ("appearance", "planted")
        cut = {name: part[:count] for name, part in vars(self).items() if name not in shared}
        return FacePairs(**cut, appearance=self.appearance, planted=self.planted)

    def asked(self, folder: PreparedFolder, asking: str) -> np.ndarray:
        """Attributes that are given, int8 [n, 40].

        Args:
            asking: `appearance`: those of geometry, which go with the target's mask; `geometry`:
                the target's of appearance, for the layout of the reference; `both`: none.
        """
        if asking == "appearance":
            is_open = self.appearance | np.array([name in APPEARANCE for name in ATTRIBUTES])
            return np.where(is_open, np.int8(UNSPECIFIED), folder.attributes[self.layouts])
        values = folder.attributes[self.mirrored_looks]
        given = self.appearance & (asking == "geometry")
        return np.where(given, values, np.int8(UNSPECIFIED))

    def source(self, asking: str, take: str) -> np.ndarray:
        """The faces, int64 [n], that this is taken from: where both are, the geometry is the
        target's."""
        return self.targets if (asking, take) == ("both", "geometry") else self.references


def face_pairs(folder: PreparedFolder, rows: Sequence[int] | np.ndarray, seed: int) -> FacePairs:
    """A reference, drawn by seed, for each of these rows of the test split that can have one.

    With planted factors it is a face of another geometry and another appearance, such that the
    geometry of either with the appearance of the other is a test face too. Else it is another
    person who has a mask and attributes.
    """
    planted = folder.factors is not None
    found = _planted(folder, rows, seed) if planted else _others(folder, rows, seed)
    columns = np.array(found, np.int64).reshape(-1, 4).T
    targets, references, truths, mirrored = columns
    named = appearance_attributes(folder)
    appearance = np.array([name in named for name in ATTRIBUTES])
    if planted:
        roles = targets, references, truths, truths, mirrored, mirrored
        return FacePairs(*roles, _groups(folder, targets), appearance, planted=True)
    roles = targets, references, references, targets, targets, references
    return FacePairs(*roles, np.arange(len(targets)), appearance, planted=False)


def _planted(
    folder: PreparedFolder, rows: Sequence[int] | np.ndarray, seed: int
) -> list[tuple[int, int, int, int]]:
    """Target, reference, geometry of the first with appearance of the second, and the reverse."""
    assert folder.factors is not None
    place: dict[tuple[str, str], int] = {}
    for row in map(int, folder.indices("test")):
        if (face := folder.factors.get(folder.names[row])) is not None:
            place[face.geometry, face.appearance] = row
    looks: dict[str, list[str]] = {}
    shapes: dict[str, list[str]] = {}
    for shape, look in place:
        looks.setdefault(shape, []).append(look)
        shapes.setdefault(look, []).append(shape)
    found = []
    for row in map(int, rows):
        mine = folder.factors.get(folder.names[row])
        if mine is None:
            continue
        choices = [
            (place[shape, look], place[mine.geometry, look], place[shape, mine.appearance])
            for shape in shapes[mine.appearance]
            for look in looks[mine.geometry]
            if shape != mine.geometry and look != mine.appearance and (shape, look) in place
        ]
        if choices:
            generator = numpy_generator(seed, "evaluate", "reference", row)
            found.append((row, *choices[int(generator.integers(len(choices)))]))
    return found


def _others(
    folder: PreparedFolder, rows: Sequence[int] | np.ndarray, seed: int
) -> list[tuple[int, int, int, int]]:
    """Target and reference, twice."""
    who = folder.identities or {}
    candidates = condition_rows(folder, None, seed)
    persons = np.array([who.get(folder.names[row], f"row {row}") for row in candidates])
    found = []
    for row in map(int, rows):
        person = who.get(folder.names[row], f"row {row}")
        others = candidates[persons != person]
        if len(others):
            generator = numpy_generator(seed, "evaluate", "reference", row)
            other = int(others[int(generator.integers(len(others)))])
            found.append((row, other, row, other))
    return found


def _groups(folder: PreparedFolder, targets: np.ndarray) -> np.ndarray:
    """A number for each face, int64 [n], the same for faces that are linked by common factors
    (over any number of test faces)."""
    assert folder.factors is not None
    known = [row for row in map(int, folder.indices("test")) if folder.names[row] in folder.factors]
    faces = [folder.factors[folder.names[row]] for row in known]
    _, shapes = np.unique([face.geometry for face in faces], return_inverse=True)
    _, looks = np.unique([face.appearance for face in faces], return_inverse=True)
    size = len(known) + shapes.max() + 1 + looks.max() + 1
    ones, own = np.ones(2 * len(known), bool), np.arange(len(known))
    nodes = np.concatenate([len(known) + shapes, len(known) + shapes.max() + 1 + looks])
    graph = coo_array((ones, (np.concatenate([own, own]), nodes)), shape=(size, size))
    _, labels = connected_components(graph, directed=False)
    return labels[np.searchsorted(known, targets)].astype(np.int64)
