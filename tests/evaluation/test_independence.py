"""Judges that have something in common: refused, or said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from facecond.data.prepared import PreparedFolder
from facecond.errors import UserError
from facecond.evaluation.independence import (
    DATA,
    LABELLED,
    SEED,
    Independence,
    check_evidence,
    check_judges,
    overlap,
    trained_on,
)
from facecond.evaluation.judges import Judges
from facecond.models.evidence import load_evidence
from facecond.storage import hash_of, write_json


@pytest.fixture
def labelled(faces: PreparedFolder, tmp_path: Path) -> Any:
    """Write who filled the labels, section -> judge; returns the folder."""

    def write(**sections: Any) -> PreparedFolder:
        folder = PreparedFolder.open(faces.root)
        folder.root = tmp_path
        (tmp_path / LABELLED).parent.mkdir(exist_ok=True)
        write_json(tmp_path / LABELLED, {"schema": "facecond.predicted/1"} | sections)
        return folder

    return write


def known(folder: PreparedFolder) -> dict[str, str | None]:
    return {"the model": folder.data_hash}


ONE = {"seed": 0, "data_hash": "d1", "part": "a"}


@pytest.mark.parametrize(
    ("change", "shared", "unknown"),
    [
        ({"seed": 1, "part": "b"}, [], []),
        ({"seed": 1}, [DATA], []),
        ({"seed": 1, "part": "all"}, [DATA], []),
        ({"part": "b"}, [SEED], []),
        ({}, [SEED, DATA], []),
        ({"seed": 1, "data_hash": "d2"}, [], [DATA]),
        # Halves of two preparations of the same pictures may be cut by name and by person.
        ({"seed": 1, "data_hash": "d2", "part": "b"}, [], [DATA]),
        ({"seed": None, "data_hash": None, "part": "all"}, [], [SEED, DATA]),
    ],
)
def test_what_two_judges_share(
    change: dict[str, Any], shared: list[str], unknown: list[str]
) -> None:
    for first, second in ((ONE, ONE | change), (ONE | change, ONE)):
        found = overlap(first, second)
        assert (found.shared, found.unknown) == (shared, unknown)
    assert overlap({}, {}).unknown == [SEED, DATA]


def test_judges_on_their_own_raise_no_note(faces: PreparedFolder, judges: Judges) -> None:
    assert check_judges([judges], faces, known(faces)) == Independence()


@pytest.mark.parametrize(("kind", "section"), [("parser", "masks"), ("attributes", "attributes")])
def test_the_judge_that_filled_labels_must_not_score(
    kind: str, section: str, judges: Judges, other_judges: Judges, labelled: Any
) -> None:
    folder = labelled(**{section: {"weights": judges.hashes()[kind], "scores": {}}})
    with pytest.raises(UserError, match="filled the missing labels"):
        check_judges([judges], folder, known(folder))
    with pytest.raises(UserError, match="filled the missing labels"):
        check_judges([other_judges, judges], folder, known(folder))
    found = check_judges([other_judges], folder, known(folder))
    word = "parser" if kind == "parser" else "attribute classifier"
    assert found.warnings == []
    (note,) = found.notes
    assert note == (
        f"whether the {word} of {other_judges.name} and the one that filled labels share "
        "the seed or data is not known"
    )


def scores(seed: int, part: str, data: str = "d" * 64, split: str = "judges") -> dict[str, Any]:
    return {"seed": seed, "part": part, "data_hash": data, "split": split}


def telling(judges: Judges, told: dict[str, Any]) -> Judges:
    """The same judges, whose classifier tells something else of itself."""
    other = replace(judges.parser, scores=scores(9, "a", "f" * 64))
    return replace(judges, parser=other, classifier=replace(judges.classifier, scores=told))


@pytest.mark.parametrize(
    ("first", "second", "shared", "unknown"),
    [
        (scores(1, "a"), scores(2, "b"), "", ""),
        (scores(1, "a"), scores(1, "b"), "the seed", ""),
        (scores(1, "a"), scores(2, "a"), "data", ""),
        (scores(1, "all"), scores(2, "b"), "data", ""),
        (scores(1, "all"), scores(2, "all", "e" * 64), "", "data"),
        (scores(1, "all"), scores(1, "all"), "the seed and data", ""),
        (scores(1, "all"), {}, "", "the seed or data"),
    ],
)
def test_the_judge_that_fills_and_the_one_that_scores_should_share_nothing(
    first: dict, second: dict, shared: str, unknown: str, judges: Judges, labelled: Any
) -> None:
    folder = labelled(attributes={"weights": "0" * 64, "scores": second})
    found = check_judges([telling(judges, first)], folder, known(folder))
    assert len(found.warnings) == bool(shared) and len(found.notes) == bool(unknown)
    if shared:
        assert f"filled labels share {shared}: where both err alike" in found.warnings[0]
    if unknown:
        assert f"filled labels share {unknown} is not known" in found.notes[0]


@pytest.mark.parametrize(
    ("first", "second", "warned", "noted"),
    [
        (scores(1, "a"), scores(2, "b"), "", ""),
        (scores(1, "a"), scores(1, "b"), "share the seed: the difference between them", ""),
        (scores(1, "all"), scores(1, "all"), "share the seed and data", ""),
        (scores(1, "all"), scores(2, "all"), "", "share data: they differ by seed only"),
        (scores(1, "all"), {}, "", "share the seed or data is not known"),
    ],
)
def test_two_scoring_judges_should_differ_in_seed(
    first: dict, second: dict, warned: str, noted: str, judges: Judges, other_judges: Judges,
    faces: PreparedFolder,
) -> None:  # fmt: skip
    pair = [telling(judges, first), telling(other_judges, second)]
    parsers = (scores(1, "a", "f" * 64), scores(2, "b", "f" * 64))
    pair = [
        replace(each, parser=replace(each.parser, scores=told))
        for each, told in zip(pair, parsers, strict=True)
    ]
    found = check_judges(pair, faces, known(faces))
    assert len(found.warnings) == bool(warned) and warned in "".join(found.warnings)
    assert len(found.notes) == bool(noted) and noted in "".join(found.notes)


def test_a_judge_that_saw_the_generators_faces_is_noted(
    faces: PreparedFolder, judges: Judges, other_judges: Judges
) -> None:
    seen = telling(judges, scores(1, "a", split="training"))
    (note,) = check_judges([seen], faces, known(faces)).notes
    assert note.startswith("the attribute classifier learned from the generator's faces too")
    notes = check_judges([other_judges, seen], faces, known(faces)).notes
    assert any(note.startswith("the second attribute classifier learned") for note in notes)


def test_one_judge_twice_is_refused(faces: PreparedFolder, judges: Judges) -> None:
    with pytest.raises(UserError, match="both judges have the same parser"):
        check_judges([judges, judges], faces, known(faces))


def test_a_model_that_learned_from_filled_labels_knows_this_data(
    faces: PreparedFolder, judges: Judges, labelled: Any
) -> None:
    folder = labelled(labels_hash="b" * 64)
    both = hash_of([folder.data_hash, "b" * 64])
    assert check_judges([judges], folder, {"the model": both}) == Independence()
    assert len(check_judges([judges], faces, {"the model": both}).notes) == 1


def test_other_training_data_is_said(faces: PreparedFolder, judges: Judges, tmp_path: Path) -> None:
    write_json(tmp_path / "provenance.json", {"data_hash": "a" * 64})
    told = trained_on(tmp_path, [judges, judges])
    assert told == {
        "the model": "a" * 64,
        "the parser": faces.data_hash,
        "the attribute classifier": faces.data_hash,
        "the second parser": faces.data_hash,
        "the second attribute classifier": faces.data_hash,
    }
    (note,) = check_judges([judges], faces, told).notes
    assert f"other data than {faces.root}: the model;" in note
    mute = replace(judges, parser=replace(judges.parser, scores={}))
    assert trained_on(tmp_path / "none", [mute]) == {
        "the model": None, "the parser": None, "the attribute classifier": faces.data_hash,
    }  # fmt: skip


def test_the_classifier_that_reads_references_does_not_score(
    judges: Judges, tmp_path: Path
) -> None:
    judges.classifier.model.save_pretrained(tmp_path / "seen")
    own = load_evidence(f"classifier:{tmp_path / 'seen'}", 64, (3, 8, 8))
    with pytest.raises(UserError, match="cannot score"):
        check_evidence([judges], own)
    check_evidence([judges], load_evidence("latents", 64, (3, 8, 8)))
    check_evidence([judges], None)
