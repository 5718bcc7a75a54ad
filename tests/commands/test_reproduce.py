"""`facecond reproduce`: says identical or how far off; names what is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facecond.cli import main


@pytest.fixture(scope="module")
def faces(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reproduce") / "faces"
    words = [
        "--attributes",
        "Smiling=1.5,-Eyeglasses",
        "--mask",
        "random",
        "--window",
        "mask=0.2:1",
    ]
    words += ["--guidance-interval", "0.1:0.9", "--rescale", "0.5", "--routing", "all_all"]
    assert main(["sample", str(model), "--n", "2", "--out", str(out), *words]) == 0
    return out


def test_a_face_again(faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    again = tmp_path / "again.png"
    assert main(["reproduce", str(faces / "00001.png"), "--out", str(again)]) == 0
    assert "identical, bit for bit" in capsys.readouterr().out
    first, second = (np.asarray(Image.open(path)) for path in (faces / "00001.png", again))
    assert np.array_equal(first, second)
    assert main(["reproduce", str(again)]) == 0  # it carries its own record


def test_a_contact_sheet_says_nothing(faces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", str(faces / "grid.png")]) == 2
    assert "does not say how it was made" in capsys.readouterr().err


def test_a_model_that_is_gone(
    faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["reproduce", str(faces / "00000.png"), "--model", str(tmp_path / "gone")]
    assert main(words) == 2
    assert "--model DIR" in capsys.readouterr().err
