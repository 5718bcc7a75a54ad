"""`facecond sample --reference`: photos of every kind, what is recorded, and faults in one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facecond.cli import main

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


@pytest.mark.parametrize("kind", ["grey", "palette", "cmyk", "wide", "alpha", "turned"])
def test_photos_of_any_size_mode_and_orientation(
    reader: Path, photo: Path, tmp_path: Path, kind: str
) -> None:
    picture = Image.open(photo).convert("RGB")
    modes = {"grey": "L", "palette": "P", "cmyk": "CMYK", "alpha": "RGBA"}
    picture = (
        picture.resize((200, 90)) if kind == "wide" else picture.convert(modes.get(kind, "RGB"))
    )
    suffix = ".tif" if kind == "cmyk" else ".png"
    exif = Image.Exif()
    if kind == "turned":
        exif[0x0112], suffix = 6, ".jpg"
    picture.save(tmp_path / f"photo{suffix}", exif=exif)
    assert sample(reader, tmp_path / "out", "--reference", tmp_path / f"photo{suffix}") == 0


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
