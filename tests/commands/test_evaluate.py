"""`facecond evaluate`: from a model, data and judges on disk to rows, a table and a page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from facecond.cli import main
from facecond.data.prepared import PreparedFolder


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100 rendered faces, 60 of them for the judges, 20 to test."""
    out = tmp_path_factory.mktemp("evaluate") / "faces"
    words = ["data", "render", "--out", str(out), "--count", "100", "--size", "64"]
    shares = ["--judges-fraction", "0.6", "--test-fraction", "0.2"]
    assert main([*words, *shares, "--workers", "1"]) == 0
    return out


@pytest.fixture(scope="module")
def judges(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("evaluate_judges")
    for kind in ("parser", "attributes"):
        words = ["train", "judge", kind, f"judge_{kind}_64", "--out", str(root / kind)]
        few = ["judge.steps=2", "judge.width=8", "judge.batch_size=8"]
        assert main([*words, "--set", f"data.root={faces}", *few]) == 0
    return root


def evaluate(model: Path, faces: Path, judges: Path, out: Path, *words: str) -> int:
    where = ["--data", str(faces), "--judges", str(judges), "--out", str(out)]
    return main(["evaluate", str(model), *where, *words])


def test_rows_table_and_page_are_written(
    model: Path, faces: Path, judges: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["--n", "16", "--guidance", "mask=2", "--keep-images"]
    assert evaluate(model, faces, judges, out, *words) == 0
    printed = capsys.readouterr().out
    assert "| mask_miou |" in printed
    # The model comes from other faces, the judges from these.
    assert f"trained on other data than {faces}: the model;" in printed
    summary = json.loads((out / "results.json").read_text())
    assert {"mask_miou", "mask_miou_floor", "mask_miou_ceiling", "frechet_judge"} <= set(summary)
    assert summary["trained_on"]["the parser"] == PreparedFolder.open(faces).data_hash
    assert (summary["batch_size"], summary["device"]) == (32, "cpu")
    assert summary["n"] == 16 and summary["guidance"] == {"mask": 2.0}
    rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert all(row["data"] == PreparedFolder.open(faces).data_hash for row in rows)
    assert len(list((out / "images").glob("*.png"))) == 16
    page = (out / "report.html").read_text()
    assert "<svg" in page and "http://" not in page.replace("http://www.w3.org", "")
    again = tmp_path / "again"
    assert evaluate(model, faces, judges, again, *words) == 0
    assert json.loads((again / "results.json").read_text())["mask_miou"] == summary["mask_miou"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--n", "21"), "20 are there"),
        (("--n", "4", "--guidance", "msk=2"), "'mask'"),
    ],
)
def test_what_cannot_be_evaluated_is_said_in_one_line(
    words: tuple[str, ...],
    message: str,
    model: Path,
    faces: Path,
    judges: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert evaluate(model, faces, judges, tmp_path / "out", *words) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert not (tmp_path / "out" / "results.json").exists()


def test_a_folder_without_judges_is_named(
    model: Path, faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(model, faces, tmp_path / "none", tmp_path / "out", "--n", "4") == 2
    assert "no parser judge here" in capsys.readouterr().err
