import json

import numpy as np
import pytest
from PIL import Image

from facecond.cli import main
from facecond.data.render_set import render_plain


@pytest.fixture
def folder(tmp_path):
    render_plain(tmp_path / "plain", 20, 64, seed=1, workers=1)
    return tmp_path / "plain"


def _doctor(*words):
    return main(["data", "doctor", *map(str, words), "--workers", "1"])


def test_exit_codes_and_fix(folder, tmp_path, capsys):
    assert _doctor(folder) == 0
    assert "nothing found" in capsys.readouterr().out
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(folder / "masks" / "000003.png")
    outputs = ["--json", tmp_path / "d.json", "--html", tmp_path / "d.html"]
    assert _doctor(folder, *outputs) == 1
    assert "empty-mask" in capsys.readouterr().out
    record = json.loads((tmp_path / "d.json").read_text())
    assert record["findings"][0]["names"] == ["000003"]
    assert (tmp_path / "d.html").read_text().startswith("<!DOCTYPE html>")
    assert not (folder / "excluded.txt").exists()
    assert _doctor(folder, "--fix") == 1
    assert "1 name added" in capsys.readouterr().out
    assert _doctor(folder) == 0
    assert "handled before: 1 name" in capsys.readouterr().out
    assert _doctor(folder, "--fix") == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--json", "gone/d.json"], "not a place for a file"),
        (["--html", "."], "is a folder, not a file"),
        (["--json", f"{'n' * 300}.json"], "cannot be written"),
        (["--html", "/dev/null/x.html"], "not a place for a file"),
        (["--workers", "0"], "--workers"),
    ],
)
def test_bad_options_are_refused_before_anything_is_read(words, message, tmp_path, capsys):
    # The folder is not there: whoever read first would say so.
    assert main(["data", "doctor", str(tmp_path / "none"), *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("facecond: error: ") and message in error


def test_what_is_no_data_folder_exits_2(tmp_path, capsys):
    assert _doctor(tmp_path) == 2
    assert "no data folder" in capsys.readouterr().err


def test_planting_prints_the_table_of_what_was_found(folder, tmp_path, capsys):
    options = ["--out", tmp_path / "copies", "--seeds", 1, "--count", 19, "--workers", 1]
    words = ["data", "faults", *map(str, [folder, *options])]
    assert main([*words, "--json", str(tmp_path / "t.json")]) == 0
    assert "| fault | found | planted |" in capsys.readouterr().out
    record = json.loads((tmp_path / "t.json").read_text())
    assert record["faults"] and (tmp_path / "copies" / "seed-0" / "images").is_dir()
    assert main(words) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["data", "faults", str(folder), "--out", str(tmp_path / "x"), "--share", "2"]) == 2
