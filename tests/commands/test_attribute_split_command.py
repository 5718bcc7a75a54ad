"""`facecond attribute-split`: the file and the table it leaves, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from facecond.cli import main
from facecond.data.render_set import render_prepared
from facecond.labels import ATTRIBUTES
from facecond.storage import read_json


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("split") / "rendered"
    render_prepared(str(out), 24, 64, 0, True, 0.2, 0.1, 1)
    return out


def test_two_data_sets_stand_beside_each_other(
    rendered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "made" / "split.json"
    words = ["attribute-split", "--data", str(rendered), "--data", str(rendered)]
    assert main([*words, "--steps", "2", "--folds", "2", "--seed", "4", "--out", str(out)]) == 0
    record = read_json(out)
    assert record["command"] == (
        "facecond attribute-split --data rendered --data rendered --steps 2 --folds 2 --seed 4"
        " --out split.json"
    )
    assert [data["recipe"]["steps"] for data in record["data"]] == [2, 2]
    assert all(told["measured"][0] == told["measured"][1] for told in record["attributes"].values())
    table = capsys.readouterr().out
    assert table.startswith("1. rendered: 24 faces scored")
    assert all(f"| {name} |" in table for name in ATTRIBUTES)


@pytest.mark.parametrize(
    "words, message",
    [
        (["--data", "nowhere"], "nowhere: no such folder"),
        (["--data", "{data}", "--folds", "1"], "--folds: 1 fold leaves nothing"),
        (["--data", "{data}", "--folds", "13"], "24 faces have a mask and true attributes; 26"),
        (["--data", "{data}", "--out", "."], "--out .: is a folder"),
        ([], "--data"),
    ],
)
def test_bad_input_is_one_line(
    rendered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list, message: str
) -> None:
    given = [word.format(data=rendered) for word in words]
    out = [] if "--out" in given else ["--out", str(tmp_path / "x.json")]
    assert main(["attribute-split", *given, *out]) == 2
    told = capsys.readouterr().err
    assert message in told and told.strip().splitlines()[-1].startswith("facecond: error:")
    assert not (tmp_path / "x.json").exists()
