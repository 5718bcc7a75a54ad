"""Inventory of CelebAMask-HQ as downloaded.

CelebA-HQ-img/N.jpg, CelebAMask-HQ-mask-anno/{N // 2000}/NNNNN_PART.png, and the annotations.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from pathlib import Path

from facecond.data.doctor.findings import Finding
from facecond.data.doctor.inventory import (
    MOST,
    Face,
    Inventory,
    files_by_name,
    missing_among,
    unread_pictures,
    unspecified,
)
from facecond.data.doctor.origins import read_origins
from facecond.data.doctor.tables import Reading, raw_name, read_annotations
from facecond.data.raw_layout import ATTRIBUTES_FILE, COUNT, IMAGES, MAPPING, PARTS, PER_FOLDER
from facecond.labels import MASK_CLASSES

_PART = re.compile(r"([0-9]{1,5})_(.+)\.png", re.IGNORECASE)


def take(root: Path) -> Inventory:
    """List pictures, part masks and annotation rows, matched by id."""
    findings: list[Finding] = []
    images = _images(root / IMAGES, findings)
    parts = _parts(root / PARTS, findings)
    named = images.keys() | {raw_name(stem) for stem in unread_pictures(findings)}
    for name in sorted(parts.keys() - named):
        message = f"there are {len(parts[name])} part masks, but no {IMAGES}/{int(name)}.jpg"
        findings.append(Finding("mask-without-image", (name,), message))
    for name in sorted(images.keys() - parts.keys()):
        findings.append(Finding("image-without-mask", (name,), "there are no part masks"))
    attributes = {}
    if (root / ATTRIBUTES_FILE).is_file():
        table = read_annotations(root / ATTRIBUTES_FILE)
        attributes = table.attributes
        findings += table.findings + _against(table, images, named)
    else:
        findings.append(Finding("bad-table", (), f"there is no {ATTRIBUTES_FILE}"))
    if (root / MAPPING).is_file():
        table = read_origins(root / MAPPING)
        findings += table.findings + _against(table, images, named)
    faces = [
        Face(name, path, dict(sorted(parts.get(name, {}).items())),
             attributes.get(name, unspecified()))
        for name, path in images.items()
    ]  # fmt: skip
    return Inventory(root, "raw", faces, findings)


def _against(table: Reading, images: Iterable[str], named: Collection[str]) -> list[Finding]:
    """Rows without an image, and images without a row where most have one."""
    message = f"{table.path.name} has no row for it, but for most images"
    found = missing_among("image-without-row", images, table.lines, message)
    without = [name for name in table.lines if name not in named]
    # These files always name all 30,000; a part of the images is a fair use of them.
    if len(without) <= (1 - MOST) * len(table.lines):
        for name in without:
            message = f"{table.path.name}, line {table.lines[name]}: there is no image"
            found.append(Finding("row-without-image", (name,), message))
    return found


def _images(folder: Path, findings: list[Finding]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for stem, path in files_by_name(folder, findings).items():
        name = raw_name(stem)
        if not re.fullmatch(r"[0-9]{5}", name) or int(name) >= COUNT:
            message = f"{folder.name}/{path.name} is not named by an id from 0 to {COUNT - 1}"
            findings.append(Finding("wrong-name", (stem,), message))
        elif name in found:
            message = f"{folder.name}/ has {found[name].name} and {path.name}"
            findings.append(Finding("duplicate-name", (name,), message))
        else:
            found[name] = path
    return found


def _parts(folder: Path, findings: list[Finding]) -> dict[str, dict[int, Path]]:
    """Name -> class id -> part file; files in a wrong folder are left out."""
    found: dict[str, dict[int, Path]] = {}
    misplaced: dict[str, list[str]] = {}
    for place in sorted(os.scandir(folder), key=lambda e: e.name) if folder.is_dir() else ():
        for entry in os.scandir(place.path) if place.is_dir() else ():
            match = _PART.fullmatch(entry.name)
            if entry.name.startswith(".") or not entry.name.lower().endswith(".png"):
                continue
            where = f"{folder.name}/{place.name}/{entry.name}"
            if match is None or match[2] not in MASK_CLASSES[1:]:
                who = (raw_name(match[1]),) if match else ()
                findings.append(Finding("wrong-name", who, f"{where} is not named by id and part"))
                continue
            name = raw_name(match[1])
            if place.name != str(int(name) // PER_FOLDER):
                misplaced.setdefault(name, []).append(where)
                continue
            found.setdefault(name, {})[MASK_CLASSES.index(match[2])] = Path(entry.path)
    for name, files in sorted(misplaced.items()):
        proper = f"{folder.name}/{int(name) // PER_FOLDER}/"
        message = f"{files[0]} belongs into {proper} ({len(files)} such files)"
        findings.append(Finding("wrong-folder", (name,), message, {"files": files}))
    return found
