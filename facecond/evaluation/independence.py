"""Who judges whom: a judge that filled labels must not score what was learned from them, and two
judges are two opinions only where they share neither seed nor data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from facecond.boxed import model_folder
from facecond.data.prepared import PreparedFolder
from facecond.errors import UserError
from facecond.evaluation.judges import KINDS, Judge, Judges
from facecond.models.evidence import EvidenceEncoder
from facecond.models.weights_hash import weights_hash
from facecond.storage import hash_of, read_json

LABELLED = Path("predicted") / "manifest.json"
"""What `facecond data label` writes into a prepared folder."""
SECTIONS = {"parser": "masks", "attributes": "attributes"}
"""Which section of it tells of which judge: `weights` (their hash), `scores` (its scores.json)."""
WORDS = {"parser": "parser", "attributes": "attribute classifier"}
SEED, DATA = "the seed", "data"


@dataclass(frozen=True)
class Overlap:
    """What two judges of one kind have in common.

    Attributes:
        shared: `SEED`, `DATA`: each makes two opinions more alike.
        unknown: which of these cannot be told; a public judge says nothing of its training.
    """

    shared: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


@dataclass
class Independence:
    """What the judges have in common with each other, with the judges that filled labels, and with
    the data: `warnings` put the scores in doubt, `notes` are to be known."""

    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def overlap(first: Mapping[str, Any], second: Mapping[str, Any]) -> Overlap:
    """Compare two `scores.json` (or what was kept of them elsewhere).

    Data overlap when both judges learned from the same folder, unless from its two halves (`part`
    a and b). Of two folders nothing can be told: they may hold the same pictures, and cut them in
    halves by name in the one and by person in the other.
    """
    found = Overlap()
    seeds = first.get("seed"), second.get("seed")
    if None in seeds:
        found.unknown.append(SEED)
    elif seeds[0] == seeds[1]:
        found.shared.append(SEED)
    halves = {first.get("part", "all"), second.get("part", "all")} == {"a", "b"}
    hashes = first.get("data_hash"), second.get("data_hash")
    if None in hashes or hashes[0] != hashes[1]:
        found.unknown.append(DATA)
    elif not halves:
        found.shared.append(DATA)
    return found


def check_judges(
    judges: Sequence[Judges], folder: PreparedFolder, trained_on: Mapping[str, str | None]
) -> Independence:
    """Examine the judges of an evaluation.

    Args:
        trained_on: who (`"the model"`, ...) -> hash of the data it was trained on, None unknown.

    Raises:
        UserError: a judge that filled labels of this folder is to score; two judges are the same.
    """
    found = Independence()
    labels = folder.root / LABELLED
    sections = read_json(labels) if labels.is_file() else {}
    for kind in KINDS:
        for number, each in enumerate(judges):
            labeller = sections.get(SECTIONS[kind])
            if labeller is not None:
                _against_labels(found, each, kind, labeller, folder)
            if each.of(kind).scores.get("split") == "training":
                which = "" if number == 0 else "second "
                found.notes.append(
                    f"the {which}{WORDS[kind]} learned from the generator's faces too "
                    "(data.split=training): what it says of them, as in distances to training "
                    "pictures, is not what it would say of new ones"
                )
        if len(judges) == 2:
            _between(found, kind, judges)
    foreign = [name for name, data in trained_on.items() if data not in data_names(folder)]
    if foreign:
        found.notes.append(
            f"trained on other data than {folder.root}: {', '.join(foreign)}; whether it holds "
            "pictures of the test split is for you to know"
        )
    return found


def check_evidence(judges: Sequence[Judges], evidence: EvidenceEncoder | None) -> None:
    """Raise `UserError` where the classifier that a model reads references with is to score it."""
    if evidence is None or evidence.config.kind != "classifier":
        return
    seen = weights_hash(evidence.model)
    for each in judges:
        if each.of("attributes").weights == seen:
            raise UserError(
                "the model reads references with this classifier: it cannot score them",
                f"{each.name}/attributes",
                "Give a judge that was trained by itself.",
            )


def data_names(folder: PreparedFolder) -> set[str]:
    """Hashes that name this data: of its true labels, and of these with the judges' labels."""
    names, path = {folder.data_hash}, folder.root / LABELLED
    if path.is_file():
        names.add(hash_of([folder.data_hash, read_json(path).get("labels_hash")]))
    return names


def trained_on(model: str | Path, judges: Sequence[Judges]) -> dict[str, str | None]:
    """Hash of the data that the model and the judges were trained on; None where it is not told."""
    file = model_folder(model) / "provenance.json"
    found = {"the model": read_json(file).get("data_hash") if file.is_file() else None}
    for number, each in enumerate(judges):
        which = "" if number == 0 else "second "
        for kind in KINDS:
            found[f"the {which}{WORDS[kind]}"] = each.of(kind).scores.get("data_hash")
    return found


def _against_labels(
    found: Independence,
    judges: Judges,
    kind: str,
    labeller: Mapping[str, Any],
    folder: PreparedFolder,
) -> None:
    judge: Judge[Any] = judges.of(kind)
    if labeller.get("weights") == judge.weights:
        raise UserError(
            f"this {WORDS[kind]} filled the missing labels of {folder.root}: it cannot score a "
            "model that learned from them",
            f"{judges.name}/{kind}",
            "Give a judge with another seed and another half of the data (data.part).",
        )
    common = overlap(judge.scores, labeller.get("scores", {}))
    title = f"the {WORDS[kind]} of {judges.name} and the one that filled labels"
    if common.shared:
        found.warnings.append(
            f"{title} share {' and '.join(common.shared)}: where both err alike, a model that "
            "learned the error scores as if it were right. Train one of them with another seed "
            "and another half of the data (judge.seed, data.part)"
        )
    if common.unknown:
        found.notes.append(f"whether {title} share {' or '.join(common.unknown)} is not known")


def _between(found: Independence, kind: str, judges: Sequence[Judges]) -> None:
    """The two judges that score: the difference between them shows how much depends on the judge,
    and too little of it where they are alike."""
    first, second = (each.of(kind) for each in judges)
    if first.weights == second.weights:
        raise UserError(
            f"both judges have the same {WORDS[kind]}",
            f"{judges[1].name}/{kind}",
            "Train the second one with another judge.seed.",
        )
    common = overlap(first.scores, second.scores)
    title = f"the {WORDS[kind]}s of the two judges"
    if SEED in common.shared:
        found.warnings.append(
            f"{title} share {' and '.join(common.shared)}: the difference between them says too "
            "little of how much the scores depend on the judge. Train one with another judge.seed"
        )
    elif common.shared:
        found.notes.append(f"{title} share {' and '.join(common.shared)}: they differ by seed only")
    if common.unknown:
        found.notes.append(f"whether {title} share {' or '.join(common.unknown)} is not known")
