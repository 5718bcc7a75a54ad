"""`facecond reproduce`: says identical or how far off; names what is missing."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facecond.cli import main
from facecond.commands.reproduce import reference_at
from facecond.errors import UserError


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
    again = tmp_path / "new" / "folder" / "again.png"
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


@pytest.mark.parametrize("name", ["again.jpg", "again"])
def test_a_face_is_written_as_png(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reproduce", "face.png", "--out", str(tmp_path / name)]) == 2
    assert "Name a .png file" in capsys.readouterr().err


def test_pictures_of_references_that_moved(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    told = {
        "file": str(tmp_path / "anna.png"),
        "sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
        "take": "appearance",
        "weight": 0.5,
    }
    moved = tmp_path / "moved"
    moved.mkdir()
    Image.fromarray(pixels).save(moved / "anna.png")
    with pytest.raises(UserError, match=r"anna\.png: the picture .*--references DIR"):
        reference_at(told, None, 32, None)
    found = reference_at(told, str(moved), 32, None)
    assert np.array_equal(found.image, pixels) and (found.take, found.weight) == ("appearance", 0.5)
    Image.fromarray(255 - pixels).save(moved / "anna.png")
    with pytest.raises(UserError, match="not those of the reference"):
        reference_at(told, str(moved), 32, None)
