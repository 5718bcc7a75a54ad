"""`facecond parse`: the mask of a picture, and what is said when something is missing."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from facecond.cli import main
from facecond.commands.parse import _save
from facecond.data.rendered import render
from facecond.evaluation.photo import central_square
from facecond.models.judges import FaceParser
from facecond.seeding import key_of
from facecond.storage import write_json


@pytest.fixture(scope="module")
def parser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained parser of 32 px that says nothing of its data."""
    path = tmp_path_factory.mktemp("parse") / "parser"
    with torch.random.fork_rng():
        torch.manual_seed(key_of("parse") >> 1)
        FaceParser(width=8, image_size=32).eval().save_pretrained(path)
    return path


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A rendered face in a wider picture."""
    picture = np.full((128, 200, 3), 90, np.uint8)
    picture[:, 36:164] = render(0, 1, 128).image
    Image.fromarray(picture).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_an_aligned_crop_is_parsed_without_a_detector(
    photo: Path, parser: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep" / "mask.png"
    files = {name: tmp_path / f"{name}.png" for name in ("aligned", "overlay")}
    words = ["parse", str(photo), "--parser", str(parser), "--aligned-already", "--out", str(out)]
    for name, path in files.items():
        words += [f"--{name}", str(path)]
    assert main(words) == 0
    assert "mask of 32 px, mean confidence of the parser 0." in capsys.readouterr().out
    crop = central_square(np.array(Image.open(photo)), 32)
    images = torch.from_numpy(np.array(crop)).permute(2, 0, 1)[None].float() / 127.5 - 1
    model = FaceParser.from_pretrained(str(parser)).eval()
    with torch.no_grad():
        expected = model(images).argmax(1)[0].numpy()
    with Image.open(out) as picture:
        assert picture.mode == "P"
        np.testing.assert_array_equal(np.array(picture), expected)
    np.testing.assert_array_equal(np.array(Image.open(files["aligned"])), crop)
    assert Image.open(files["overlay"]).size == (32, 32)
    assert main([*words, "--size", "48"]) == 0
    assert Image.open(out).size == (48, 48)


def test_all_pictures_are_written_or_none(tmp_path: Path) -> None:
    class Unwritable:
        def save(self, *_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    first, second = (str(tmp_path / name) for name in ("mask.png", "overlay.png"))
    with pytest.raises(OSError) as caught:
        _save({first: Image.new("L", (4, 4)), second: Unwritable()})
    assert caught.value.filename == second
    assert not list(tmp_path.iterdir())
    _save({first: Image.new("L", (4, 4)), second: Image.new("L", (5, 5))})
    assert Image.open(first).size == (4, 4) and Image.open(second).size == (5, 5)


def test_a_parser_of_drawings_is_refused_for_photos(
    photo: Path, parser: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = tmp_path / "drawn"
    FaceParser(width=8, image_size=32).save_pretrained(drawn)
    write_json(drawn / "scores.json", {"kind": "parser", "source": "rendered"})
    words = ["parse", str(photo), "--parser", str(drawn), "--out", str(tmp_path / "mask.png")]
    assert main([*words, "--detector", "yunet.onnx"]) == 2
    said = capsys.readouterr().err
    assert "learned from rendered faces and cannot read photos" in said
    assert "data prepare celebamask" in said and "train judge parser" in said
    assert not (tmp_path / "mask.png").exists()
    # A picture that is aligned already may be a drawing.
    assert main([*words, "--aligned-already"]) == 0
    assert "warning: this parser learned from rendered faces" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["{photo}"], ("--parser: no parser is given", "data prepare celebamask", "public one")),
        (
            ["{photo}", "--parser", "{parser}"],
            ("--detector: no face detector", "face_detection_yunet_2023mar.onnx", "opencv_zoo"),
        ),
        (["{photo}", "--parser", "{parser}", "--detector", "no.onnx"], ("no.onnx: no such file",)),
        (["{photo}", "--parser", "{tmp}"], ("no parser judge here",)),
        (["none.jpg", "--parser", "{parser}", "--aligned-already"], ("none.jpg: cannot be read",)),
        (["{text}", "--parser", "{parser}", "--aligned-already"], ("text.jpg: corrupt", "intact")),
        (
            ["{photo}", "--parser", "{parser}", "--aligned-already", "--detector", "x"],
            ("not allowed with argument",),
        ),
        (
            ["{photo}", "--parser", "{parser}", "--aligned-already", "--face", "1"],
            ("--face: no faces are looked for",),
        ),
        (["{photo}", "--parser", "{parser}", "--face", "smallest"], ("largest or a number",)),
        (["{photo}", "--parser", "{parser}", "--size", "8"], ("from 16 to 2048, not '8'",)),
        (
            ["{photo}", "--parser", "{parser}", "--out", "m.jpg"],
            ("m.jpg: is not the name of a PNG",),
        ),
        (
            ["{photo}", "--parser", "{parser}", "--out", "a.png", "--aligned", "a.png"],
            ("a.png: two pictures would have one name",),
        ),
        (
            ["{photo}", "--parser", "{parser}", "--out", "{photo}/m.png"],
            ("photo.png/m.png: cannot be written",),
        ),
        (
            ["{photo}", "--parser", "{parser}", "--aligned-already", "--overlay", "{photo}/o.png"],
            ("photo.png/o.png: cannot be written",),
        ),
        (
            ["none.jpg", "--parser", "{parser}", "--out", "deep/mask.png", "--aligned-already"],
            ("none.jpg: cannot be read",),
        ),
        (["{photo}", "--parser", "{parser}", "--aligned", "folder.png"], ("is a folder",)),
    ],
)
def test_what_is_missing_is_said_in_one_line(
    words: list[str],
    parts: tuple[str, ...],
    photo: Path,
    parser: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.jpg").write_text("not a picture")
    (tmp_path / "folder.png").mkdir()
    before = sorted(tmp_path.rglob("*"))
    places = {"photo": photo, "parser": parser, "tmp": tmp_path, "text": tmp_path / "text.jpg"}
    assert main(["parse", *(word.format(**places) for word in words)]) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1 and all(part in said for part in parts), said
    assert sorted(tmp_path.rglob("*")) == before


def test_faces_are_found_by_yunet(
    photo: Path, parser: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = os.environ.get("FACECOND_YUNET")
    if not weights:
        pytest.skip("FACECOND_YUNET does not name YuNet's weights")
    two = np.full((300, 520, 3), 120, np.uint8)
    two[20:276, 10:266] = render(0, 0, 256).image
    two[60:220, 320:480] = render(0, 1, 160).image
    Image.fromarray(two).save(tmp_path / "two.png")
    words = ["parse", str(tmp_path / "two.png"), "--parser", str(parser), "--detector", weights]
    words += [
        "--out",
        str(tmp_path / "m.png"),
        "--aligned",
        str(tmp_path / "a.png"),
        "--size",
        "64",
    ]
    assert main(words) == 0
    assert "2 faces found; this is the largest (choose with --face)" in capsys.readouterr().out
    first = np.array(Image.open(tmp_path / "a.png"))
    assert main([*words, "--face", "1"]) == 0
    assert "this is number 1" in capsys.readouterr().out
    assert (np.array(Image.open(tmp_path / "a.png")) != first).any()
    assert main([*words, "--face", "2"]) == 2
    assert "there is no face 2; 2 found" in capsys.readouterr().err
    Image.new("RGB", (200, 200)).save(tmp_path / "two.png")
    assert main(words) == 2
    assert "no face found" in capsys.readouterr().err
