"""The whole examination: list, sample, examine every face, compare them with each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from facecond.data.doctor import alignment, geometry
from facecond.data.doctor.classes import check_values, single_class
from facecond.data.doctor.face import Examined, Folder, examine_face, home_order
from facecond.data.doctor.files import Fault, read_masks
from facecond.data.doctor.findings import KINDS, Finding, count_by_code
from facecond.data.doctor.inventory import Face, Inventory, take_inventory
from facecond.data.doctor.leaks import find_duplicates, find_identity_leaks
from facecond.data.exclusions import write_exclusions
from facecond.data.parallel import ordered_map
from facecond.seeding import key_of

SCHEMA = "facecond.doctor/1"
SAMPLE = 64
"""Faces that show the label order of the folder and lend their masks for comparison."""


@dataclass
class Report:
    """What the examination found.

    Attributes:
        inventory: the folder.
        findings: those that exclusions do not settle, by kind and name.
        handled: names of the folder that are excluded -> reason.
    """

    inventory: Inventory
    findings: list[Finding]
    handled: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "schema": SCHEMA,
            "root": str(self.inventory.root),
            "kind": self.inventory.kind,
            "faces": len(self.inventory.faces),
            "counts": count_by_code(self.findings),
            "excluded": self.handled,
            "findings": [finding.as_json() for finding in self.findings],
        }

    def quarantine(self) -> dict[str, str]:
        """Add the faces that settle the findings to excluded.txt; returns those added."""
        added: dict[str, str] = {}
        for finding in self.findings:
            for name in finding.leave_out:
                added.setdefault(name, f"{finding.code}: {finding.message}")
        if added:
            write_exclusions(self.inventory.root, self.inventory.excluded | added)
        return added


def examine(root: str | Path, workers: int | None = None) -> Report:
    """Examine a data folder of any kind; excluded faces count as handled and are passed over.

    Args:
        root: prepared folder, plain folder, or CelebAMask-HQ as downloaded.
        workers: processes; None means one per core.

    Raises:
        UserError: no such folder, no data folder, or one without images.
    """
    inventory = take_inventory(root)
    excluded = inventory.excluded
    # Excluded faces are sampled too, so that excluding some does not change what is said of others.
    sampled = sorted((face for face in inventory.faces if face.masks), key=_by_hash)[:SAMPLE]
    masks = [pair for pair in ordered_map(_sample_mask, sampled, workers, "sampling") if pair]
    folder, findings = _know_folder(inventory, masks)
    faces = [face for face in inventory.faces if face.name not in excluded]
    examined: list[Examined] = []
    for one in ordered_map(partial(examine_face, folder=folder), faces, workers, "examining"):
        examined.append(one)
        findings += one.findings
    findings += [finding for finding in inventory.findings if not finding.settled(excluded)]
    findings += find_duplicates(faces, examined, findings)
    findings += find_identity_leaks(faces)
    codes = list(KINDS)
    findings.sort(key=lambda finding: (codes.index(finding.code), finding.names, finding.message))
    return Report(inventory, findings, excluded)


def _know_folder(
    inventory: Inventory, masks: Sequence[tuple[str, np.ndarray]]
) -> tuple[Folder, list[Finding]]:
    """The label order of the folder, masks to compare with, and a finding if the order is wrong."""
    tables = [geometry.fit(geometry.places(mask)) for _, mask in masks]
    orders = [geometry.likely_order(table)[0] for table in tables]
    order = geometry.majority(orders)
    usual = [pair for pair, own in zip(masks, orders, strict=True) if own == order]
    usual = usual[: alignment.BANK]
    lent = np.array([home_order(mask, order) for _, mask in usual])
    bank = alignment.Bank(tuple(name for name, _ in usual), lent)
    found = []
    alone = sum(single_class(mask) is not None for _, mask in masks)
    single = 2 * alone > len(masks)
    if single:
        order = geometry.UNKNOWN  # one class lies like many
        message = f"{alone} of {len(masks)} masks looked at draw a single class"
        found = [Finding("one-class", (), message, {"looked_at": len(masks), "single": alone})]
    elif order == geometry.UNKNOWN:
        _, meaning = geometry.likely_order(np.mean(tables, axis=0))
        drawn = sorted({value for _, mask in masks for value in np.unique(mask).tolist()})
        listed = ", ".join(f"{v} {meaning[v]}" for v in drawn if v in meaning)
        message = f"most masks are in no known order; by their places the values mean: {listed}"
        found = [Finding("label-order", (), message, {"order": order, "meaning": meaning})]
    elif order != geometry.HOME:
        message = f"most masks are in the order '{order}', not '{geometry.HOME}'"
        if inventory.kind == "folder":
            message += f": prepare them with --labels {order}"
        found = [Finding("label-order", (), message, {"order": order})]
    return Folder(inventory.side, order, bank, single), found


def _sample_mask(face: Face) -> tuple[str, np.ndarray] | None:
    """Name and mask at the size of comparison, if it can be read; runs in a worker process."""
    try:
        mask = read_masks(face.masks)
    except Fault:
        return None
    if mask is None or check_values(face.name, mask):
        return None
    return face.name, alignment.at_side(mask)


def _by_hash(face: Face) -> int:
    return key_of("doctor", face.name)
