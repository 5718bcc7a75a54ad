"""Judges that have something in common: refused, or said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from facecond.data.prepared import PreparedFolder
from facecond.errors import UserError
from facecond.evaluation.independence import LABELLED, check_judges, trained_on
from facecond.evaluation.verdicts import Judges
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


def test_judges_on_their_own_raise_no_note(faces: PreparedFolder, judges: Judges) -> None:
    assert check_judges([judges], faces, known(faces)) == []


@pytest.mark.parametrize(("kind", "section"), [("parser", "masks"), ("attributes", "attributes")])
def test_the_judge_that_filled_labels_must_not_score(
    kind: str, section: str, judges: Judges, other_judges: Judges, labelled: Any
) -> None:
    folder = labelled(**{section: {"weights": judges.hashes()[kind], "scores": {}}})
    with pytest.raises(UserError, match="filled the missing labels"):
        check_judges([judges], folder, known(folder))
    with pytest.raises(UserError, match="filled the missing labels"):
        check_judges([other_judges, judges], folder, known(folder))
    assert check_judges([other_judges], folder, known(folder)) == []


def scores(seed: int, part: str, data: str = "d" * 64) -> dict[str, Any]:
    return {"seed": seed, "part": part, "data_hash": data}


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        (scores(1, "a"), scores(2, "b"), None),
        (scores(1, "a"), scores(1, "b"), "same seed"),
        (scores(1, "a"), scores(2, "a"), "overlapping data"),
        (scores(1, "all"), scores(2, "b"), "overlapping data"),
        (scores(1, "all"), scores(2, "all", "e" * 64), None),
        (scores(1, "all"), scores(1, "all"), "same seed and overlapping data"),
    ],
)
def test_what_judges_share_is_said(
    first: dict, second: dict, shared: str | None, judges: Judges, other_judges: Judges,
    faces: PreparedFolder, labelled: Any,
) -> None:  # fmt: skip
    pair = [
        replace(each, scores={"attributes": told})
        for each, told in ((judges, first), (other_judges, second))
    ]
    folder = labelled(attributes={"weights": "0" * 64, "scores": second})
    for notes in (
        check_judges(pair, faces, known(faces)),
        check_judges(pair[:1], folder, known(folder)),
    ):
        assert len(notes) == (shared is not None)
        assert shared is None or shared in notes[0]


def test_one_judge_twice_is_refused(faces: PreparedFolder, judges: Judges) -> None:
    with pytest.raises(UserError, match="both judges have the same parser"):
        check_judges([judges, judges], faces, known(faces))


def test_a_model_that_learned_from_filled_labels_knows_this_data(
    faces: PreparedFolder, judges: Judges, labelled: Any
) -> None:
    folder = labelled(labels_hash="b" * 64)
    both = hash_of([folder.data_hash, "b" * 64])
    assert check_judges([judges], folder, {"the model": both}) == []
    assert len(check_judges([judges], faces, {"the model": both})) == 1


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
    (note,) = check_judges([judges], faces, told)
    assert f"other data than {faces.root}: the model;" in note
    assert trained_on(tmp_path / "none", [replace(judges, scores={})])["the model"] is None
