import json

import pytest

from facecond.cli import main
from facecond.data.prepared import PreparedFolder
from facecond.data.render_set import render_prepared
from facecond.models.judges import AttributeClassifier


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    out = tmp_path_factory.mktemp("pairs") / "plain"
    render_prepared(out, 40, 64, 1, True, 0.0, 0.25, workers=1)
    return out


def _pairs(*words):
    return main(["data", "pairs", *map(str, words)])


def test_counts_tables_and_the_pairs_by_name(plain, tmp_path, capsys):
    words = ["--max-appearance-distance", 3, "--min-flips", 2, "--min-mask-miou", 0.5]
    assert _pairs(plain, *words, "--out", tmp_path / "p.json") == 0
    told = capsys.readouterr().out
    assert "generator: 30 faces, 30 with mask" in told and "warning" not in told
    assert "compared: 5_o_Clock_Shadow, " in told and "geometry: pairs by mask mIoU" in told
    record = json.loads((tmp_path / "p.json").read_text())
    names = set(PreparedFolder.open(plain).names)
    assert record["counts"]["reconstruction"] == 30 and record["rules"]["min_flips"] == 2
    for task in ("appearance", "geometry"):
        rows = record["pairs"][task]
        assert len(rows) == 2 * record["counts"][task] > 0
        assert {name for row in rows for name in row} <= names
    assert _pairs(plain, "--split", "test", "--attributes", "Young, Pale_Skin") == 0
    told = capsys.readouterr().out
    assert "test: 10 faces" in told and "compared: Pale_Skin, Young" in told


def test_planted_factors_need_no_tables(tmp_path, capsys):
    render_prepared(
        tmp_path / "a", 16, 64, judges_fraction=0, test_fraction=0, workers=1, variations=4
    )
    assert _pairs(tmp_path / "a") == 0
    told = capsys.readouterr().out
    assert "told apart by the planted factors" in told and "compared" not in told
    assert "appearance                24          48                16" in told


def test_counted_pairs_are_kept_for_a_training(plain, tmp_path, capsys):
    words = ["--min-flips", 2, "--cache", tmp_path / "pairs.safetensors"]
    assert _pairs(plain, *words) == 0
    first = capsys.readouterr()
    assert "pair/s" in first.err and (tmp_path / "pairs.safetensors").is_file()
    assert _pairs(plain, *words) == 0
    again = capsys.readouterr()
    assert again.out == first.out and again.err == ""


def test_persons_are_told_apart_by_the_judge(plain, tmp_path, capsys):
    AttributeClassifier(width=8, image_size=64).save_pretrained(tmp_path / "judge")
    words = ["--embedder", "judge", "--classifier", tmp_path / "judge"]
    assert _pairs(plain, *words, "--same-person", "1", "--one-person", "1") == 0
    told = capsys.readouterr().out
    assert "told apart by an embedding" in told and "warning" not in told
    assert _pairs(plain, *words, "--one-person", "-1") == 0
    assert "10 of 10 faces of the test split look like" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--split", "tets"], "--split: unknown word 'tets'. Did you mean 'test'?"),
        (["--labels", "truth"], "Did you mean 'true'?"),
        (["--classes", "mergd"], "Did you mean 'merged'?"),
        (["--attributes", "Yung"], "Did you mean 'Young'?"),
        (["--min-mask-miou", "2"], "must be from 0 to 1"),
        (["--same-person", "7"], "pairs.same_person: 7.0 is out of range"),
        (["--embedder", "judge"], "Add --classifier DIR."),
        (["--embedder", "mobilefacenet:none.pth"], "none.pth: there is no such file"),
        (["--out", "."], "is a folder, not a file"),
    ],
)
def test_bad_options_exit_2(plain, words, message, capsys):
    assert _pairs(plain, *words) == 2
    assert message in capsys.readouterr().err
