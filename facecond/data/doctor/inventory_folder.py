"""Inventory of a plain folder: images/, masks/ and a table."""

from __future__ import annotations

from pathlib import Path

from facecond.data.doctor.findings import Finding
from facecond.data.doctor.inventory import (
    WHOLE,
    Face,
    Inventory,
    files_by_name,
    missing_among,
    unread_pictures,
    unspecified,
)
from facecond.data.doctor.tables import Reading, read_csv
from facecond.data.table import find_table
from facecond.errors import UserError


def take(root: Path) -> Inventory:
    """List images, masks and rows, matched by name."""
    findings: list[Finding] = []
    images = files_by_name(root / "images", findings)
    named = images.keys() | unread_pictures(findings)
    masks = files_by_name(root / "masks", findings)
    table = _table(root, findings)
    for name, path in masks.items():
        if name not in named:
            message = f"there is masks/{path.name}, but no images/{name}.*"
            findings.append(Finding("mask-without-image", (name,), message))
    message = "there is no mask, though most images have one"
    findings += missing_among("image-without-mask", images, masks, message)
    if table is not None:
        findings += table.findings
        for name, line in table.lines.items():
            if name and name not in named:
                message = f"{table.path.name}, line {line}: there is no images/{name}.*"
                findings.append(Finding("row-without-image", (name,), message))
        message = f"{table.path.name} has no row for it, but for most images"
        findings += missing_among("image-without-row", images, table.lines, message)
    faces = []
    for name, path in images.items():
        mask = {WHOLE: masks[name]} if name in masks else {}
        if table is None:
            faces.append(Face(name, path, mask, unspecified()))
            continue
        values = table.attributes.get(name, unspecified())
        split, identity = table.splits.get(name, ""), table.identities.get(name, "")
        faces.append(Face(name, path, mask, values, split, identity))
    return Inventory(root, "folder", faces, findings)


def _table(root: Path, findings: list[Finding]) -> Reading | None:
    try:
        path = find_table(root)
    except UserError as error:  # several tables, none of them attributes.csv
        findings.append(Finding("bad-table", (), f"the folder {error.what}. {error.fix}"))
        return None
    return read_csv(path) if path else None
