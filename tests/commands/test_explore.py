"""`facecond explore`: labelled grids, a path as strip and film."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from facecond.cli import main
from facecond.commands.explore import _file_name
from facecond.editing import films


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
        assert b"synthetic faces" in film.info["comment"]
        assert told["model_hash"].encode() in film.info["comment"]
    for name in (*names[:2], "path.png"):
        with Image.open(out / name) as picture:
            assert "synthetic faces" in picture.info["Description"]
            mark = json.loads(picture.info["facecond"])
            assert mark["model_hash"] == told["model_hash"]
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
        (
            ["--grid", "seed x mask=0,1e30"],
            "1e+30 is no value of 'mask'. Use numbers from 0 to 100",
        ),
        (["--to", "Smiling=2"], "'Smiling' has a scale"),
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


def test_two_random_ends_have_two_layouts(model: Path, tmp_path: Path) -> None:
    def strip(name: str, *words: str) -> np.ndarray:
        out = tmp_path / name
        words = ("--mask", "random", "--seed", "4", "--frames", "2", "--steps", "2", *words)
        assert main(["explore", str(model), "--out", str(out), *words]) == 0
        return np.asarray(Image.open(out / "path.png"))

    def last(picture: np.ndarray) -> np.ndarray:
        return picture[:, picture.shape[1] // 2 :]

    ends = strip("a", "--to-mask", "random")
    same = strip("b", "--to-mask", "random", "--to-seed", "4")
    assert not np.array_equal(last(ends), last(same))
    from facecond.data.masks import mask_png, random_mask

    (tmp_path / "m.png").write_bytes(mask_png(random_mask(5, 64)))
    assert np.array_equal(ends, strip("c", "--to-mask", str(tmp_path / "m.png")))


def test_an_emphasis_of_every_face(model: Path, tmp_path: Path) -> None:
    words = ["--attributes", "Smiling=1.5", "--grid", "seed=1,2 x Male", "--steps", "2"]
    assert main(["explore", str(model), "--out", str(tmp_path / "x"), *words]) == 0
    told = json.loads((tmp_path / "x" / "explored.json").read_text())
    assert told["attributes"] == "Smiling" and told["guidance"]["Smiling"] == 1.5


FRAMES = np.stack([np.full((32, 32, 3), 20 * i, np.uint8) for i in range(8)])


def test_a_film_can_be_played(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    codec = films.write_mp4(tmp_path / "film.mp4", FRAMES, 2)
    assert capfd.readouterr().err == ""  # FFmpeg's own words on encoders that it lacks
    if codec is None:
        pytest.skip("this OpenCV encodes nothing")
    film = cv2.VideoCapture(str(tmp_path / "film.mp4"))
    frames = []
    while (read := film.read())[0]:
        frames.append(read[1])
    assert len(frames) == len(FRAMES) and frames[0].shape == (64, 64, 3)
    assert abs(frames[6].mean() - 120) < 12


def test_the_first_codec_that_there_is_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def encoded(path: Path, codec: str, pictures: object) -> bool:
        tried.append(codec)
        return codec == "vp09"

    monkeypatch.setattr(films, "_encoded", encoded)
    assert films.write_mp4(tmp_path / "film.mp4", FRAMES, 1) == "vp09"
    assert tried == ["avc1", "vp09"]


@pytest.mark.parametrize(
    ("there", "said"), [(None, "path.mp4 is left out"), ("mp4v", "which browsers do not play")]
)
def test_a_film_that_cannot_be_made_or_played_is_told(
    there: str | None, said: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(films, "_encoded", lambda path, codec, pictures: codec == there)
    words = ["--to", "Smiling", "--frames", "2", "--steps", "1", "--out", str(tmp_path / "x")]
    assert main(["explore", str(model), *words]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if said in line)
    assert "path.gif shows the same" in line
    assert (tmp_path / "x" / "path.mp4").is_file() is (there is not None)
