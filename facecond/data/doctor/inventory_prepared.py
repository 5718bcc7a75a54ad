"""Inventory of a prepared folder: its manifest against its files, table and splits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from facecond.data.doctor.findings import Finding
from facecond.data.doctor.inventory import WHOLE, Face, Inventory, unspecified
from facecond.data.doctor.tables import read_csv
from facecond.data.factors import FACTORS
from facecond.data.prepared import SPLITS
from facecond.data.writing import IDENTITIES, SCHEMA
from facecond.errors import UserError
from facecond.labels import ATTRIBUTES, MASK_CLASSES
from facecond.storage import hash_of, read_json, sha256

_PARTS = ("images", "masks")


def take(root: Path) -> Inventory:
    """List what the manifest names and what lies there.

    Raises:
        UserError: the manifest is no JSON or not that of a prepared folder.
    """
    manifest = read_json(root / "manifest.json")
    schema = manifest.get("schema") if isinstance(manifest, dict) else None
    if schema != SCHEMA or not isinstance(manifest.get("files"), dict):
        fix = "Prepare the folder anew with `facecond data`."
        raise UserError(f"schema is '{schema}', expected '{SCHEMA}'", root / "manifest.json", fix)
    files: dict[str, str] = manifest["files"]
    findings = _check_manifest(manifest)
    there = {f"{part}/{path.name}" for part in _PARTS for path in (root / part).glob("[!.]*")}
    for file in sorted(set(files) - there):
        if not (root / file).is_file():
            who = (Path(file).stem,) if file.startswith(_PARTS) else ()
            findings.append(Finding("missing-file", who, f"{file} is in the manifest, not here"))
    for file in sorted(there - set(files)):
        findings.append(
            Finding("bad-manifest", (Path(file).stem,), f"{file} is not in the manifest")
        )
    people = root / IDENTITIES
    texts = ("attributes.csv", IDENTITIES, FACTORS)
    for file in (*texts, *(f"splits/{split}.txt" for split in SPLITS)):
        if (root / file).is_file() and sha256(root / file) != files.get(file):
            findings.append(Finding("changed-file", (), f"{file} was changed after preparation"))
    images = {Path(file).stem: file for file in sorted(there) if file.startswith("images/")}
    masks = {Path(file).stem: file for file in sorted(there) if file.startswith("masks/")}
    table = None
    if (root / "attributes.csv").is_file():
        table = read_csv(root / "attributes.csv")
        findings += table.findings
    for name in sorted(masks.keys() - images.keys()):
        message = f"there is {masks[name]}, but no image"
        findings.append(Finding("mask-without-image", (name,), message))
    rows = table.lines if table else {}
    for name in sorted(rows.keys() - images.keys()):
        message = f"attributes.csv, line {rows[name]}: there is no image"
        findings.append(Finding("row-without-image", (name,), message))
    for name in sorted(images.keys() - rows.keys()) if table else ():
        findings.append(Finding("image-without-row", (name,), "attributes.csv has no row for it"))
    splits = _read_splits(root, images, findings)
    identities = {}
    if people.is_file():
        persons = read_csv(people)
        findings += persons.findings
        identities = persons.identities
    faces = []
    for name, image in images.items():
        mine = [image, *([masks[name]] if name in masks else [])]
        faces.append(
            Face(
                name,
                root / image,
                {WHOLE: root / masks[name]} if name in masks else {},
                table.attributes.get(name, unspecified()) if table else unspecified(),
                splits.get(name, ""),
                identities.get(name, ""),
                hashes={root / file: files[file] for file in mine if file in files},
            )
        )
    side = manifest.get("image_size")
    return Inventory(root, "prepared", faces, findings, side if isinstance(side, int) else None)


def _check_manifest(manifest: dict[str, Any]) -> list[Finding]:
    found = []
    orders = {"classes": list(MASK_CLASSES), "attributes": list(ATTRIBUTES)}
    for key, expected in (orders | {"label_order": "celebamask"}).items():
        if manifest.get(key) != expected:
            found.append(Finding("bad-manifest", (), f"'{key}' is not in the known order"))
    if hash_of(manifest["files"]) != manifest.get("data_hash"):
        found.append(Finding("bad-manifest", (), "its list of files and its data_hash disagree"))
    images = sum(file.startswith("images/") for file in manifest["files"])
    if manifest.get("count") != images:
        message = f"it counts {manifest.get('count')} faces and lists {images} images"
        found.append(Finding("bad-manifest", (), message))
    if not isinstance(manifest.get("image_size"), int):
        found.append(Finding("bad-manifest", (), "'image_size' is no number"))
    return found


def _read_splits(root: Path, images: dict[str, str], findings: list[Finding]) -> dict[str, str]:
    """Name -> split; a name in two lists keeps the one that is not for training."""
    splits: dict[str, str] = {}
    for split in SPLITS:  # test comes last
        path = root / "splits" / f"{split}.txt"
        lines = path.read_text("utf-8", errors="replace").splitlines() if path.is_file() else []
        for name in lines:
            if name in splits:
                message = f"splits/ lists it in {splits[name]} and {split}"
                findings.append(Finding("bad-split", (name,), message))
            elif name not in images:
                message = f"splits/{split}.txt lists it, but there is no image"
                findings.append(Finding("bad-split", (name,), message))
            splits[name] = split
    for name in images:
        if name not in splits:
            findings.append(Finding("bad-split", (name,), "no file of splits/ lists it"))
    return splits
