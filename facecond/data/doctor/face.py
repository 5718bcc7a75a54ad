"""The examination of one face by itself; runs in a worker process."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from facecond.data.doctor import alignment, geometry
from facecond.data.doctor.classes import check_single, check_skin, check_values
from facecond.data.doctor.contradictions import contradictions
from facecond.data.doctor.duplicates import small_copy
from facecond.data.doctor.files import read_contents
from facecond.data.doctor.findings import Finding
from facecond.data.doctor.inventory import Face
from facecond.labels import ANYTHING

_SHIFTS = {(1, 0): "right", (-1, 0): "left", (0, 1): "down", (0, -1): "up"}


@dataclass(frozen=True)
class Folder:
    """What the examination of a face needs to know about its folder.

    Attributes:
        side: pixels that images and masks must have, or None.
        order: label order of most masks; `geometry.UNKNOWN` when it is none of the known ones.
        bank: masks of other faces.
        single: most masks draw a single class, which is said once of the folder.
    """

    side: int | None
    order: str
    bank: alignment.Bank
    single: bool = False


@dataclass
class Examined:
    """What one face turned out to be.

    Attributes:
        name: of the face.
        findings: about this face alone.
        sha: SHA-256 of its image file, "" when unreadable.
        copy: uint8 [64, 64] of `duplicates.small_copy`, or None.
        pixels: of the image at full size.
    """

    name: str
    findings: list[Finding] = field(default_factory=list)
    sha: str = ""
    copy: np.ndarray | None = None
    pixels: int = 0


def examine_face(face: Face, folder: Folder) -> Examined:
    """Read a face's files and look for everything that they show by themselves."""
    contents = read_contents(face, folder.side)
    found = Examined(face.name, list(contents.findings), contents.image_sha)
    found.pixels = contents.image_size[0] * contents.image_size[1]
    if contents.image is not None:
        found.copy = small_copy(contents.image)
    if contents.mask is None:
        return found
    faults = check_values(face.name, contents.mask)
    if faults:
        found.findings += faults
        return found
    mask = alignment.at_side(contents.mask)
    mask, reordered = _in_home_order(face.name, mask, folder.order)
    found.findings += reordered
    if not folder.single:
        found.findings += check_single(face.name, mask)
    if not reordered and folder.order != geometry.UNKNOWN:
        where = geometry.places(mask)
        found.findings += check_skin(face.name, mask)
        found.findings += _left_right(face.name, where)
        known = float((mask != ANYTHING).mean())
        found.findings += contradictions(face.name, face.attributes, where, known)
    if contents.image is not None and not any(f.code == "size-mismatch" for f in contents.findings):
        found.findings += _alignment(face.name, contents.image, mask, folder.bank)
    return found


def home_order(mask: np.ndarray, order: str) -> np.ndarray:
    """Mask uint8 in a known order -> CelebAMask-HQ's; an unknown order stays as it is."""
    if order in (geometry.HOME, geometry.UNKNOWN):
        return mask
    table = np.arange(256, dtype=np.uint8)
    table[: geometry.CLASSES] = geometry.classes_of(order)
    return table[mask]


def _in_home_order(name: str, mask: np.ndarray, order: str) -> tuple[np.ndarray, list[Finding]]:
    """The mask in CelebAMask-HQ's order, and a finding if it is not in that of the folder."""
    own, meaning = geometry.likely_order(geometry.fit(geometry.places(mask)))
    if own == order or order == geometry.UNKNOWN:
        return home_order(mask, order), []
    if own == geometry.UNKNOWN:
        moved = [f"{v} is {meaning[v]}" for v in np.unique(mask).tolist() if v in meaning][:6]
        message = f"its classes lie as in no known order; by their places {', '.join(moved)}"
    else:
        message = f"its classes lie as in the order '{own}', those of most masks as in '{order}'"
    evidence = {"order": own, "folder": order}
    return home_order(mask, own), [Finding("label-order", (name,), message, evidence)]


def _left_right(name: str, where: geometry.Places) -> list[Finding]:
    pairs = geometry.swapped_pairs(where)
    if not pairs:
        return []
    listed = ", ".join(f"l_{pair}" for pair in pairs)
    message = f"{listed} to the left of r_ in the picture: relabel, or the picture is mirrored"
    return [Finding("left-right", (name,), message, {"pairs": pairs})]


def _alignment(
    name: str, image: np.ndarray, mask: np.ndarray, bank: alignment.Bank
) -> list[Finding]:
    measured = alignment.measure(name, alignment.central_square(image), mask, bank)
    code = measured.verdict() if measured else None
    if measured is None or code is None:
        return []
    if code == "mask-shifted":
        across, down = measured.shift
        moves = [
            f"{abs(share):.1%} {_SHIFTS[sign]}"
            for share, sign in ((across, (np.sign(across), 0)), (down, (0, np.sign(down))))
            if share
        ]
        message = f"the mask fits the picture best moved {' and '.join(moves)}"
    elif code == "mask-mirrored":
        message = "the mirrored mask fits the picture, the mask does not"
    else:
        message = "the mask fits the picture hardly better than the masks of other faces"
    return [Finding(code, (name,), message, measured.evidence())]
