"""`facecond evaluate first-stage`: from a first stage and data to tables and a page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from facecond.cli import main
from facecond.data.prepared import PreparedFolder
from facecond.models.judges import AttributeClassifier, FaceParser


def evaluate(stage: str, data: Path, out: Path, *words: str) -> int:
    return main(["evaluate", "first-stage", stage, "--data", str(data), "--out", str(out), *words])


def test_a_linear_code_with_judges_and_distance(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    FaceParser(8, 64).save_pretrained(tmp_path / "judges" / "parser")
    AttributeClassifier(8, 64, 8).save_pretrained(tmp_path / "judges" / "attributes")
    words = ["--judges", str(tmp_path / "judges"), "--trunk", "random", "--net", "squeeze"]
    out = tmp_path / "out"
    assert evaluate("linear", data, out, *words, "--latent-channels", "6") == 0
    assert "| psnr |" in capsys.readouterr().out
    flat = json.loads((out / "results.json").read_text())
    test = PreparedFolder.open(data)
    assert flat["n"] == len(test.indices("test")) and flat["data"] == test.data_hash
    assert flat["latent_shape"] == [6, 16, 16] and "random_squeeze" in flat
    frechet = "frechet_judge_reconstruction"  # `frechet_judge` is the distance of samples
    assert {"psnr", "ssim", "mask_miou", frechet, f"{frechet}_originals"} <= set(flat)
    assert "frechet_judge" not in flat
    assert "| ssim |" in (out / "results.md").read_text("utf-8")
    page = (out / "report.html").read_text("utf-8")
    assert "--latent-channels 6" in page and "--net squeeze --trunk random" in page


def test_the_first_stage_of_a_model_without_judges(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(str(model), data, tmp_path / "out", "--n", "3") == 0
    printed = capsys.readouterr().out
    assert "No mask mIoU: no parser was given" in printed and "LinearPatchCode" in printed
    flat = json.loads((tmp_path / "out" / "results.json").read_text())
    assert flat["n"] == 3 and flat["trained_on"] == PreparedFolder.open(data).data_hash


def test_one_judge_alone_is_enough(data: Path, tmp_path: Path) -> None:
    FaceParser(8, 64).save_pretrained(tmp_path / "parser")
    assert evaluate("linear", data, tmp_path / "out", "--judges", str(tmp_path)) == 0
    flat = json.loads((tmp_path / "out" / "results.json").read_text())
    assert "mask_miou" in flat and "attribute_bacc" not in flat


@pytest.mark.parametrize(
    ("stage", "words", "message"),
    [
        ("linaer", [], "there is no such folder"),
        ("linear", ["--n", "999"], "999 test pictures are wanted"),
        ("linear", ["--n", "1"], "at least 2"),
        ("linear", ["--patch-size", "5"], "patch_size 5"),
        ("linear", ["--trunk", "gone.pth"], "gone.pth: there is no such file"),
        ("linear", ["--trunk", "random", "--net", "alxe"], "Did you mean 'alex'"),
        ("linear", ["--judges", "nowhere"], "holds neither parser/ nor attributes/"),
        ("linaer", ["--out", "/dev/null/out"], "/dev/null/out: cannot be written"),
    ],
)
def test_faults_are_one_line_and_write_nothing(
    stage: str,
    words: list[str],
    message: str,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert evaluate(stage, data, tmp_path / "out", *words) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert message in error and error.startswith("facecond: error:")
    assert not (tmp_path / "out").exists()
