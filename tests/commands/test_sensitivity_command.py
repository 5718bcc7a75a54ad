"""`facecond sensitivity`: from a saved model and data to a file that routing reads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from facecond.analysis.sensitivity.unfinished import Unfinished
from facecond.cli import main

SMALL = [
    "--images", "6", "--bins", "2", "--settings", "2", "--masks", "2", "--seeds", "2",
    "--steps", "2",
]  # fmt: skip


def analyse(model: Path, data: Path, out: Path, *words: str) -> int:
    where = ["--data", str(data), "--out", str(out)]
    return main(["sensitivity", str(model), *where, *SMALL, *words])


def complaint(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of an error, after whatever bars were shown."""
    error = capsys.readouterr().err
    assert "Traceback" not in error and error.count("facecond: error: ") == 1
    last = error.splitlines()[-1]
    assert last.startswith("facecond: error: ")
    return last


def test_a_saved_model_is_analysed(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert analyse(model, data, out, "--keep-features") == 0
    printed = capsys.readouterr().out
    assert "attributes" in printed and "contribution" in printed and "sensitivity.json" in printed
    told = json.loads((out / "sensitivity.json").read_text())
    layers = len(told["layers"])
    for name in ("swap", "contribution", "jsd_ratio", "omega2"):
        for source in ("attributes", "mask"):
            assert np.shape(told["scores"][name][source]) == (layers, 2)
            assert (out / f"heatmap_{source}_{name}.png").is_file()
    assert told["grid"]["steps"] == 2 and len(told["faces"]) == 6
    assert told["command"].endswith("--steps 2 --seed 0 --batch-size 60")
    assert len(told["model"]) == 64 and told["versions"]["torch"]
    with np.load(out / "features.npz") as features:
        assert features["self-0"].shape[:3] == (8, 2, 2)
        assert features["self-0"].dtype == np.float16
        assert sorted(zip(features["setting"], features["mask"], features["seed"], strict=True))[
            -1
        ] == (1, 1, 1)
    assert not (out / "unfinished").exists()
    again = tmp_path / "again"
    assert analyse(model, data, again, "--quick") == 0
    quick = json.loads((again / "sensitivity.json").read_text())
    assert quick["scores"]["swap"] == told["scores"]["swap"]
    assert "omega2" not in quick["scores"] and quick["grid"] is None


def test_an_analysis_of_another_model_is_not_mixed_in(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Unfinished(tmp_path / "out" / "unfinished", {"model": "0" * 64})
    assert analyse(model, data, tmp_path / "out", "--quick") == 2
    assert "another 'model' was begun here (000000000000" in complaint(capsys)
    assert not (tmp_path / "out" / "sensitivity.json").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--images", "7"), "Use --images 6"),
        (("--images", "5"), "--images: with 5 faces no layer could beat its control"),
        (("--settings", "1"), "--settings: a grid of 1 settings has nothing to compare"),
        (("--steps", "1"), "1 sampling steps do not reach each of 2 noise levels"),
        (("--masks", "50"), "50 and 2 are wanted"),
        (("--bins", "0"), "must be a whole number from 1 up"),
        (("--routing", "coarse_fin"), "coarse_fine"),
        (("--out", "/proc/nowhere"), "cannot create the folder"),
        (("--data", "/nowhere"), "no such folder"),
    ],
)
def test_what_cannot_be_analysed_is_said_in_one_line(
    words: tuple[str, ...],
    message: str,
    model: Path,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert analyse(model, data, tmp_path / "out", *words) == 2
    assert message in complaint(capsys)


def test_faces_of_another_size_are_refused(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    faces = tmp_path / "faces"
    words = ["data", "render", "--out", str(faces), "--count", "20", "--size", "80"]
    assert main([*words, "--workers", "1"]) == 0
    capsys.readouterr()
    assert analyse(model, faces, tmp_path / "out") == 2
    assert "the model is for 64 px, these faces have 80 px" in complaint(capsys)
