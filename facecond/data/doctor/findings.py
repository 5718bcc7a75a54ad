"""What the doctor can find: every kind with its severity, and one finding as a record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ERROR, WARNING = "error", "warning"


@dataclass(frozen=True)
class Kind:
    """A kind of finding: how bad it is, what it means, and what to do about it."""

    severity: str
    title: str
    advice: str


_REPLACE = "Restore the original file, or leave the face out."
_TABLE = "Correct the row."
_MASK = "Redraw or restore the mask, or leave the face out."

KINDS: dict[str, Kind] = {
    # files
    "unreadable-image": Kind(ERROR, "image corrupt or truncated", _REPLACE),
    "unreadable-mask": Kind(ERROR, "mask corrupt or truncated", _REPLACE),
    "unread-kind": Kind(ERROR, "picture of a kind that is not read", "Save it as PNG or JPEG."),
    "image-mode": Kind(ERROR, "image of a wrong kind", "Save it with 8 bits per channel."),
    "mask-mode": Kind(ERROR, "mask of a wrong kind", "Save class ids as 8-bit PNG."),
    "blank-image": Kind(ERROR, "image of one colour", _REPLACE),
    "size-mismatch": Kind(ERROR, "image and mask differ in shape", "Give both one aspect ratio."),
    "changed-file": Kind(ERROR, "file changed after preparation", "Prepare the folder anew."),
    # classes
    "unknown-class": Kind(ERROR, "values that are no class", "Classes: 0 to 18; 255 is anything."),
    "empty-mask": Kind(ERROR, "mask without a face", _MASK),
    "one-class": Kind(WARNING, "mask with a single class", _MASK),
    "no-skin": Kind(WARNING, "mask without skin", _MASK),
    "label-order": Kind(ERROR, "classes in another order", "Name the order: --labels ORDER."),
    "left-right": Kind(ERROR, "left and right parts swapped", "l_ is the subject's left."),
    # image against mask
    "mask-shifted": Kind(ERROR, "mask lies beside the face", _MASK),
    "mask-mirrored": Kind(ERROR, "image or mask is mirrored", "Mirror one of the two."),
    "mask-of-other": Kind(WARNING, "mask does not fit the image", "Is it another face's?"),
    # attributes against mask
    "glasses-not-in-mask": Kind(WARNING, "Eyeglasses=1, no eye_g in the mask", _TABLE),
    "glasses-not-in-table": Kind(WARNING, "eye_g in the mask, Eyeglasses=0", _TABLE),
    "hat-not-in-mask": Kind(WARNING, "Wearing_Hat=1, no hat in the mask", _TABLE),
    "hat-not-in-table": Kind(WARNING, "hat in the mask, Wearing_Hat=0", _TABLE),
    "bald-with-hair": Kind(WARNING, "Bald=1, much hair in the mask", _TABLE),
    # faces against each other
    "exact-duplicate": Kind(WARNING, "the same file twice", "Keep one of them."),
    "near-duplicate": Kind(WARNING, "nearly the same picture", "Keep one of them."),
    "split-leak": Kind(ERROR, "one picture in two splits", "Leave it out of the training splits."),
    "identity-leak": Kind(ERROR, "one person in two splits", "Split by identity."),
    # names and tables
    "mask-without-image": Kind(ERROR, "mask without image", "Add the image or remove the mask."),
    "image-without-mask": Kind(WARNING, "image without mask", "Most others have one: add it."),
    "row-without-image": Kind(ERROR, "table row without image", "Correct or remove the row."),
    "image-without-row": Kind(WARNING, "image without table row", "Most others have one: add it."),
    "duplicate-name": Kind(ERROR, "two files for one face", "Rename or remove one of them."),
    "duplicate-row": Kind(ERROR, "two table rows for one face", "Remove one of them."),
    "duplicate-id": Kind(ERROR, "one id for two faces", _TABLE),
    "wrong-folder": Kind(ERROR, "part in another folder's place", "Move it to folder id // 2000."),
    "wrong-name": Kind(ERROR, "file name that is no id or part", "Rename or remove the file."),
    "bad-row": Kind(ERROR, "table row that cannot be read", _TABLE),
    "bad-table": Kind(ERROR, "table that cannot be read", "Correct the table."),
    "mixed-coding": Kind(ERROR, "absent coded 0 and -1", "Use one coding throughout the table."),
    "bad-split": Kind(ERROR, "split missing or given twice", "Give every face one split."),
    "missing-file": Kind(ERROR, "file of the manifest missing", "Prepare the folder anew."),
    "bad-manifest": Kind(ERROR, "manifest at odds with the folder", "Prepare the folder anew."),
}  # fmt: skip
"""Code -> kind, in the order of the report."""

BY_HAND = frozenset(
    {
        "missing-file", "bad-manifest", "wrong-folder", "wrong-name", "duplicate-row", "bad-row",
        "bad-table", "mixed-coding",
    }
)  # fmt: skip
"""Kinds that no exclusion settles, because a file must be corrected before anything reads it."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        code: key of `KINDS`.
        names: the faces concerned; empty when it concerns the whole folder.
        message: one line, in words.
        evidence: what was measured (JSON values).
        exclude: the faces that an exclusion list should name to settle it. Default: all `names`.
    """

    code: str
    names: tuple[str, ...]
    message: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    exclude: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.code not in KINDS:
            raise ValueError(f"unknown code '{self.code}'")

    @property
    def severity(self) -> str:
        """error or warning."""
        return KINDS[self.code].severity

    @property
    def leave_out(self) -> tuple[str, ...]:
        """The faces to exclude: `exclude`, or all `names`; none where only a correction helps."""
        if self.code in BY_HAND:
            return ()
        return self.names if self.exclude is None else self.exclude

    def settled(self, excluded: Mapping[str, str]) -> bool:
        """Whether these exclusions settle it."""
        return bool(self.leave_out) and all(name in excluded for name in self.leave_out)

    def as_json(self) -> dict[str, Any]:
        """The record as JSON values."""
        return {
            "code": self.code,
            "severity": self.severity,
            "names": list(self.names),
            "message": self.message,
            "evidence": dict(self.evidence),
            "exclude": list(self.leave_out),
        }


def count_by_code(findings: list[Finding]) -> dict[str, int]:
    """Code -> number of findings, in the order of `KINDS`; kinds without any are left out."""
    counts = {code: sum(finding.code == code for finding in findings) for code in KINDS}
    return {code: count for code, count in counts.items() if count}
