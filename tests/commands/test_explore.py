"""`facecond explore`: labelled grids, a path as strip and film."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from facecond.cli import main
from facecond.commands.explore import _file_name


def test_grids_and_a_path(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "explored"
    words = ["--grid", "Smiling x Male=off,open,on", "--grid", "seed=1,2 x mask=0,1,2"]
    words += ["--to", "-Smiling", "--to-seed", "3", "--frames", "5", "--mask", "random"]
    assert main(["explore", str(model), "--out", str(out), "--steps", "2", *words]) == 0
    told = json.loads((out / "explored.json").read_text())
    names = ["grid_Smiling_x_Male_off_open_on.png", "grid_seed_1_2_x_mask_0_1_2.png",
             "path.png", "path.gif"]  # fmt: skip
    assert told["files"][:4] == names
    for name in told["files"]:
        assert (out / name).stat().st_size > 100
    assert told["drawn"][1]["rows"] == {"name": "seed", "kind": "seed", "values": [1, 2]}
    assert (told["seed"], told["attributes"], told["steps"]) == (0, "", 2)  # falsy ones too
    assert told["model_hash"] and told["versions"]["torch"] and told["routing"]
    assert told["drawn"][2]["to_seed"] == 3 and told["guidance_rescale"] == 0
    with Image.open(out / "path.gif") as film:
        assert film.size == (128, 128)
    assert Image.open(out / names[0]).width > 3 * 128


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "there is nothing to draw"),
        (["--grid", "Smilling x Male"], "Did you mean 'Smiling'"),
        (["--to", "Smilling"], "Did you mean 'Smiling'"),
        (["--to", "Smiling", "--frames", "1"], "--frames"),
        (["--to", "Bald,Black_Hair"], "--to: Black_Hair and Bald exclude each other"),
        (["--to", "Male", "--attributes", "Bald,Black_Hair"], "--attributes: Black_Hair and Bald"),
        (["--grid", "Black_Hair x Bald"], "--grid: Black_Hair and Bald exclude each other"),
    ],
)
def test_bad_input(
    model: Path, tmp_path: Path, words: list[str], message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert main(["explore", str(model), "--out", str(tmp_path / "x"), *words]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.png"))


def test_no_two_grids_have_one_file() -> None:
    taken: list[str] = []
    for last in (1, 2, 3):
        taken.append(_file_name(f"seed={'7,' * 50}{last} x Male", taken))
    assert len({name.casefold() for name in taken}) == 3
    assert _file_name("Smiling x Male", ["GRID_smiling_x_male.png"]) == "grid_Smiling_x_Male_2.png"
