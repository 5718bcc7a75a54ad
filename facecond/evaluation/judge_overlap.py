"""Whether two judges are two opinions: the one that filled labels in must not also score them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from facecond.models.judges import weights_file
from facecond.storage import read_json, sha256


@dataclass(frozen=True)
class Independence:
    """What two judges have in common.

    Attributes:
        shared: "same weights", "same seed", "overlapping data": each makes them one opinion.
        unknown: what could not be told, in words; a public judge says nothing of its training.
    """

    shared: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    @property
    def independent(self) -> bool:
        """Nothing is known to be shared."""
        return not self.shared

    def notes(self) -> list[str]:
        """One line per finding, for a report."""
        return [*self.shared, *(f"not known: {what}" for what in self.unknown)]


def compare_judges(first: str | Path, second: str | Path) -> Independence:
    """Compare two judges of one kind by their weights and their `scores.json`.

    Data overlap when both judges learned from the same folder, unless from its two halves (`part`
    a and b). Halves go by name alone, so they are also disjoint between two preparations of the
    same pictures; of other folders nothing can be told.

    Raises:
        UserError: a `scores.json` is not valid JSON.
    """
    return compare_scores(told_by(first), told_by(second))


def compare_scores(first: Mapping[str, Any], second: Mapping[str, Any]) -> Independence:
    """`compare_judges` on the content of two `scores.json` (or what was kept of it elsewhere)."""
    shared, unknown = [], []
    for key, what, question in (
        ("weights_sha256", "same weights", "whether the weights differ"),
        ("seed", "same seed", "whether the seeds differ"),
    ):
        if first.get(key) is None or second.get(key) is None:
            unknown.append(question)
        elif first[key] == second[key]:
            shared.append(what)
    halves = {first.get("part", "all"), second.get("part", "all")} == {"a", "b"}
    hashes = first.get("data_hash"), second.get("data_hash")
    if None not in hashes and hashes[0] == hashes[1] and not halves:
        shared.append("overlapping data")
    elif (None in hashes or hashes[0] != hashes[1]) and not halves:
        unknown.append("whether their data overlap")
    return Independence(shared, unknown)


def told_by(path: str | Path) -> dict[str, Any]:
    """`scores.json`, with the hash of the weights where an older judge does not tell it."""
    scores = Path(path) / "scores.json"
    told = dict(read_json(scores)) if scores.is_file() else {}
    if "weights_sha256" not in told and (file := weights_file(path)) is not None:
        told["weights_sha256"] = sha256(file)
    return told
