"""Who judges whom: a judge that filled labels must not score what was learned from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from facecond.data.prepared import PreparedFolder
from facecond.errors import UserError
from facecond.evaluation.judge_overlap import compare_scores
from facecond.evaluation.verdicts import KINDS, Judges
from facecond.storage import hash_of, read_json

LABELLED = Path("predicted") / "manifest.json"
"""What `facecond data label` writes into a prepared folder."""
SECTIONS = {"parser": "masks", "attributes": "attributes"}
"""Which section of it tells of which judge: `weights` (their hash), `scores` (its scores.json)."""
WORDS = {"parser": "parser", "attributes": "attribute classifier"}


def check_judges(
    judges: Sequence[Judges], folder: PreparedFolder, trained_on: Mapping[str, str | None]
) -> list[str]:
    """Notes on what the judges have in common with each other, with the judges that filled labels,
    and with the data.

    Args:
        trained_on: who (`"the model"`, ...) -> hash of the data it was trained on, None unknown.

    Raises:
        UserError: a judge that filled labels of this folder is to score; two judges are the same.
    """
    notes = []
    for kind in KINDS:
        hashes = [each.hashes()[kind] for each in judges]
        for each, weights in zip(judges, hashes, strict=True):
            notes += _against_labels(each, kind, weights, folder)
        if len(judges) == 2:
            if hashes[0] == hashes[1]:
                raise UserError(
                    f"both judges have the same {WORDS[kind]}",
                    f"{judges[1].name}/{kind}",
                    "Train the second one with another judge.seed.",
                )
            first, second = (dict(each.scores.get(kind, {})) for each in judges)
            notes += _shared(f"the {WORDS[kind]}s of the two judges", first, second)
    foreign = [name for name, data in trained_on.items() if data not in data_names(folder)]
    if foreign:
        notes.append(
            f"trained on other data than {folder.root}: {', '.join(foreign)}; whether it holds "
            "pictures of the test split is for you to know"
        )
    return notes


def data_names(folder: PreparedFolder) -> set[str]:
    """Hashes that name this data: of its true labels, and of these with the judges' labels."""
    names, path = {folder.data_hash}, folder.root / LABELLED
    if path.is_file():
        names.add(hash_of([folder.data_hash, read_json(path).get("labels_hash")]))
    return names


def trained_on(model: str | Path, judges: Sequence[Judges]) -> dict[str, str | None]:
    """Hash of the data that the model and the judges were trained on; None where it is not told."""
    file = Path(model) / "provenance.json"
    found = {"the model": read_json(file).get("data_hash") if file.is_file() else None}
    for number, each in enumerate(judges):
        which = "" if number == 0 else "second "
        for kind in KINDS:
            found[f"the {which}{WORDS[kind]}"] = each.scores.get(kind, {}).get("data_hash")
    return found


def _against_labels(judges: Judges, kind: str, weights: str, folder: PreparedFolder) -> list[str]:
    path = folder.root / LABELLED
    if not path.is_file():
        return []
    labeller = read_json(path).get(SECTIONS[kind], {})
    if labeller.get("weights") == weights:
        raise UserError(
            f"this {WORDS[kind]} filled the missing labels of {folder.root}: it cannot score a "
            "model that learned from them",
            f"{judges.name}/{kind}",
            "Give a judge with another seed and another half of the data (data.part).",
        )
    own = dict(judges.scores.get(kind, {}))
    title = f"the {WORDS[kind]} and the one that filled labels"
    return _shared(title, own, dict(labeller.get("scores", {})))


def _shared(title: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """What two judges have in common, as one note or none."""
    found = compare_scores(first, second)
    return [f"{title} have {' and '.join(found.shared)}"] if found.shared else []
