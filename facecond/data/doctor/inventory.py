"""What a data folder holds, found without giving up at the first fault.

Three kinds of folder: `prepared` (manifest.json), `raw` (CelebAMask-HQ as downloaded) and
`folder` (images/, masks/ and a table). Files are listed here and read by the worker processes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from facecond.data.doctor.findings import Finding
from facecond.data.exclusions import read_exclusions
from facecond.data.raw_layout import IMAGES, PARTS
from facecond.data.table import IMAGE_SUFFIXES
from facecond.errors import UserError
from facecond.labels import ATTRIBUTES, UNSPECIFIED

MOST = 0.9
"""If this share of the images has a mask (a row), those without count as mistakes."""

WHOLE = -1
"""Key of a mask file that holds all classes, as against one part of the raw data."""


@dataclass(frozen=True)
class Face:
    """The files of one face and what the tables say about it.

    Attributes:
        name: without suffix; of the raw data the id in five digits.
        image: its picture.
        masks: class id, or `WHOLE`, -> mask file; empty when it has none.
        attributes: int8 [40]; 1 present, 0 absent, -1 unspecified.
        split: generator, judges, test, or "" when unknown.
        identity: or "" when unknown.
        hashes: path -> SHA-256 as the manifest of a prepared folder says.
    """

    name: str
    image: Path
    masks: Mapping[int, Path]
    attributes: np.ndarray
    split: str = ""
    identity: str = ""
    hashes: Mapping[Path, str] = field(default_factory=dict)


@dataclass
class Inventory:
    """A folder's faces, and the findings that listing them brought up.

    Attributes:
        root: the folder.
        kind: prepared, raw or folder.
        faces: sorted by name.
        findings: faults of names, tables and manifest.
        side: pixels that every image and mask must have (prepared folders), or None.
        excluded: name -> reason, of excluded.txt.
    """

    root: Path
    kind: str
    faces: list[Face]
    findings: list[Finding]
    side: int | None = None
    excluded: dict[str, str] = field(default_factory=dict)


def take_inventory(root: str | Path) -> Inventory:
    """List a data folder of any of the three kinds.

    Raises:
        UserError: no such folder, none of the three kinds, or no images at all.
    """
    from facecond.data.doctor import inventory_folder, inventory_prepared, inventory_raw

    root = Path(root)
    if not root.is_dir():
        raise UserError("no such folder", root, "Check the path.")
    if (root / "manifest.json").is_file():
        inventory = inventory_prepared.take(root)
    elif (root / IMAGES).is_dir() or (root / PARTS).is_dir():
        inventory = inventory_raw.take(root)
    elif (root / "images").is_dir():
        inventory = inventory_folder.take(root)
    else:
        inner = [path for path in sorted(root.iterdir()) if (path / IMAGES).is_dir()]
        fix = f"It needs manifest.json, images/ or {IMAGES}/."
        raise UserError("no data folder", root, f"Did you mean {inner[0]}?" if inner else fix)
    if not inventory.faces:
        raise UserError(
            "holds no images", root, f"Put pictures ({', '.join(IMAGE_SUFFIXES)}) there."
        )
    inventory.faces.sort(key=lambda face: face.name)
    inventory.excluded = read_exclusions(root)
    return inventory


def files_by_name(folder: Path, findings: list[Finding]) -> dict[str, Path]:
    """Picture files of a folder by name without suffix, sorted; {} when there is no folder."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name.startswith("."):
            continue
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            if path.suffix.lower() in Image.registered_extensions():
                message = f"{folder.name}/{path.name}: pictures of this kind are not read"
                findings.append(Finding("unread-kind", (path.stem,), message))
            continue
        if path.stem in found:
            message = f"{folder.name}/ has {found[path.stem].name} and {path.name}"
            findings.append(Finding("duplicate-name", (path.stem,), message))
        else:
            found[path.stem] = path
    return found


def unread_pictures(findings: Iterable[Finding]) -> set[str]:
    """Names of pictures of an unread kind: what else belongs to them does not lack a picture."""
    return {name for finding in findings if finding.code == "unread-kind" for name in finding.names}


def unspecified() -> np.ndarray:
    """int8 [40]: nothing known."""
    return np.full(len(ATTRIBUTES), UNSPECIFIED, np.int8)


def missing_among(
    code: str, names: Iterable[str], having: Iterable[str], message: str
) -> list[Finding]:
    """A finding for each of the names without something that most names have."""
    names, having = list(names), set(having)
    lacking = [name for name in names if name not in having]
    if not lacking or len(lacking) > (1 - MOST) * len(names):
        return []
    return [Finding(code, (name,), message) for name in lacking]
