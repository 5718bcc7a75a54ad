"""`facecond sample --reference`: photos of every kind, what is recorded, and faults in one line."""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facecond.cli import main
from facecond.commands.references import read_references
from facecond.errors import UserError

TINY = [
    "train.steps=2", "train.batch_size=8", "train.sample_every=0", "sampling.steps=2",
    "first_stage.latent_channels=6", "denoiser.block_out_channels=[16,32]",
    "denoiser.condition_dim=16", "reference.dim=16", "reference.queries=3", "pairs.min_pairs=1",
    "routing.preset=deadiff",
]  # fmt: skip


@pytest.fixture(scope="module")
def varied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared folder of 64 rendered faces, 2 geometries x 2 appearances a block."""
    out = tmp_path_factory.mktemp("varied") / "data"
    words = ["data", "render", "--out", str(out), "--count", "64", "--size", "64"]
    assert main([*words, "--variations", "2", "--workers", "1"]) == 0
    return out


@pytest.fixture(scope="module")
def reader(varied: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model folder of a training of two steps, with references."""
    run = tmp_path_factory.mktemp("reader") / "run"
    words = ["train", "rendered_debug", "--out", str(run), "--set", f"data.root={varied}"]
    assert main([*words, *TINY]) == 0
    return run / "model"


@pytest.fixture
def photo(varied: Path) -> Path:
    return next((varied / "images").iterdir())


def sample(model: Path, out: Path, *words: object) -> int:
    return main(["sample", str(model), "--out", str(out), "--n", "2", *map(str, words)])


def test_what_was_taken_is_recorded(reader: Path, photo: Path, tmp_path: Path) -> None:
    words = ["--reference", photo, "--take", "appearance,geometry", "--weight", "0.8"]
    assert sample(reader, tmp_path, *words, "--attributes", "Smiling") == 0
    records = json.loads((tmp_path / "samples.json").read_text())
    taken = [(r["take"], r["weight"], r["file"]) for r in records[0]["references"]]
    assert taken == [("appearance", 0.8, str(photo)), ("geometry", 0.8, str(photo))]
    assert len({r["sha256"] for r in records[0]["references"]}) == 1


def asked(file: Path, **options: list) -> argparse.Namespace:
    """The command line of one reference."""
    settings = {"take": [], "weight": [], "detector": None} | options
    return argparse.Namespace(reference=[str(file)], **settings)


def upright() -> Image.Image:
    """A picture without any symmetry, 64 x 64 RGB."""
    at = np.linspace(0, 255, 64)
    planes = [np.tile(at, (64, 1)), np.tile(at[:, None], (1, 64)), np.full((64, 64), 90)]
    return Image.fromarray(np.stack(planes, -1).astype(np.uint8))


@pytest.mark.parametrize("kind", ["L", "1", "P", "CMYK", "RGBA", "LA"])
def test_photos_of_any_mode(tmp_path: Path, kind: str) -> None:
    picture = upright().convert(kind)
    file = tmp_path / ("photo.tif" if kind == "CMYK" else "photo.png")
    picture.save(file)
    ((_, reference),) = read_references(asked(file), 64)
    assert np.array_equal(reference.image, np.asarray(picture.convert("RGB")))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("deep", [False, True])
def test_photos_of_any_orientation(tmp_path: Path, orientation: int, deep: bool) -> None:
    turn = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's names of the inverse turns
    picture = upright().convert("L")
    lying = picture.transpose(Image.Transpose(turn[orientation])) if orientation > 1 else picture
    if deep:
        lying = Image.fromarray(np.asarray(lying).astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112] = orientation
    lying.save(tmp_path / "photo.png", exif=exif)
    ((_, reference),) = read_references(asked(tmp_path / "photo.png"), 64)
    assert np.array_equal(reference.image[..., 0], np.asarray(picture))


@pytest.mark.parametrize("kind", ["I;16", "I", "F"])
def test_photos_of_more_than_eight_bits(tmp_path: Path, kind: str) -> None:
    grey = np.asarray(upright().convert("L"))
    scale, dtype = {"I;16": (257, "u2"), "I": (257, "i4"), "F": (1 / 255, "f4")}[kind]
    picture = Image.fromarray((grey * np.float64(scale)).astype(dtype))
    assert picture.mode == kind
    picture.save(tmp_path / "photo.tif")
    ((_, reference),) = read_references(asked(tmp_path / "photo.tif"), 64)
    assert np.array_equal(reference.image, np.stack([grey] * 3, -1))
    Image.fromarray(np.full((64, 64), 3.5, np.float32)).save(tmp_path / "bright.tif")
    with pytest.raises(UserError, match=r"bright.tif: .* got float32 from 3.5 to 3.5"):
        read_references(asked(tmp_path / "bright.tif"), 64)


def test_the_central_square_of_a_wide_photo_is_taken(tmp_path: Path) -> None:
    wide = Image.new("RGB", (160, 64), "red")
    wide.paste(upright(), (48, 0))
    wide.save(tmp_path / "wide.png")
    ((_, reference),) = read_references(asked(tmp_path / "wide.png"), 64)
    assert np.array_equal(reference.image, np.asarray(upright()))


def test_a_lying_photo_is_recorded_as_the_upright_one(
    reader: Path, photo: Path, tmp_path: Path
) -> None:
    picture, exif = Image.open(photo).convert("RGB"), Image.Exif()
    exif[0x0112] = 6
    picture.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "lying.png", exif=exif)
    assert sample(reader, tmp_path / "out", "--reference", tmp_path / "lying.png") == 0
    (told,) = json.loads((tmp_path / "out" / "samples.json").read_text())[0]["references"]
    assert told["sha256"] == hashlib.sha256(np.asarray(picture).tobytes()).hexdigest()


@pytest.mark.parametrize("take", ["", ",", " , "])
def test_nothing_to_take_is_told(tmp_path: Path, take: str) -> None:
    upright().save(tmp_path / "photo.png")
    with pytest.raises(UserError, match="--take: it names nothing"):
        read_references(asked(tmp_path / "photo.png", take=[take]), 64)


def test_no_reference_and_weight_zero_draw_the_same(
    reader: Path, photo: Path, tmp_path: Path
) -> None:
    assert sample(reader, tmp_path / "a") == 0
    assert sample(reader, tmp_path / "b", "--reference", photo, "--weight", "0") == 0
    for name in ("00000.png", "00001.png"):
        a, b = (np.asarray(Image.open(tmp_path / folder / name)) for folder in "ab")
        assert np.array_equal(a, b)


def test_two_references_and_a_picture_that_is_no_face(
    reader: Path, varied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = sorted((varied / "images").iterdir())[:2]
    words = ["--reference", first, "--take", "appearance", "--reference", second]
    assert sample(reader, tmp_path / "two", *words, "--take", "geometry") == 0
    assert "unlike any face" not in capsys.readouterr().out
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    assert sample(reader, tmp_path / "out", "--reference", tmp_path / "noise.png") == 0
    assert "noise.png: unlike any face" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--take", "appearance"], "Add --reference FILE"),
        (["--reference", "nowhere.jpg"], "nowhere.jpg: cannot be read"),
        (["--reference", "PHOTO", "--take", "apearance"], "Did you mean 'appearance'"),
        (["--reference", "PHOTO", "--take", "Smiling"], "was not taught to take 'Smiling'"),
        (["--reference", "PHOTO", "--weight", "9"], "out of range"),
        (["--reference", "PHOTO", "--take", "geometry", "--take", "appearance"], "one for each"),
        (["--reference", "TEXT"], "not an image"),
    ],
)
def test_faults_are_one_line(
    reader: Path,
    photo: Path,
    tmp_path: Path,
    words: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    files = {"PHOTO": photo, "TEXT": tmp_path / "text.jpg"}
    assert sample(reader, tmp_path / "out", *(files.get(word, word) for word in words)) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("facecond: error:") and message in last


def test_a_model_without_references_says_so(
    model: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sample(model, tmp_path, "--reference", photo) == 2
    assert "not trained with references" in capsys.readouterr().err
