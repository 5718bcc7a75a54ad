"""`facecond edit`: pictures beside their originals, their records, and what is said when something
is missing or wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from facecond.cli import main
from facecond.data.alignment import Landmarks, cut_square, face_square
from facecond.data.face_finder import FoundFace
from facecond.data.masks import mask_png, read_mask
from facecond.data.rendered import render
from facecond.evaluation.photo import central_square
from facecond.labels import MASK_CLASSES
from facecond.metrics.attribute_calibration import calibrate
from facecond.models.judges import AttributeClassifier, FaceParser
from facecond.seeding import key_of
from facecond.storage import write_json

HAIR = MASK_CLASSES.index("hair")


@pytest.fixture(scope="module")
def model(make_pipeline: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model of 32 px: an edit needs no good one."""
    path = tmp_path_factory.mktemp("edit_model") / "model"
    make_pipeline(steps=2).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def judges(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An untrained parser, and a classifier that is sure of everything."""
    path = tmp_path_factory.mktemp("edit_judges")
    with torch.random.fork_rng():
        torch.manual_seed(key_of("edit") >> 1)
        FaceParser(width=8, image_size=32).eval().save_pretrained(path / "parser")
        classifier = AttributeClassifier(width=8, image_size=32).eval()
    torch.nn.init.zeros_(classifier.head[1].weight)
    torch.nn.init.constant_(classifier.head[1].bias, 4.0)
    classifier.save_pretrained(path / "classifier")
    present = np.arange(200) % 2 == 0
    told = calibrate(np.where(present, 5.0, -5.0), present).as_json()
    scores = {"kind": "attributes", "per_attribute": {"Male": 0.99}, "calibration": {"Male": told}}
    write_json(path / "classifier" / "scores.json", scores)
    return {"parser": path / "parser", "classifier": path / "classifier"}


@pytest.fixture(scope="module")
def crop(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A rendered face as an aligned crop, and its mask."""
    path, face = tmp_path_factory.mktemp("edit_crop"), render(0, 1, 128)
    Image.fromarray(face.image).save(path / "photo.png")
    mask = face.mask.copy()
    mask[mask == MASK_CLASSES.index("ear_r")] = MASK_CLASSES.index("skin")
    (path / "mask.png").write_bytes(mask_png(mask))
    return {"photo": path / "photo.png", "mask": path / "mask.png"}


def edit(model: Path, crop: dict[str, Path], out: Path, *words: str) -> int:
    given = ["--model", str(model), "--out", str(out), "--steps", "2"]
    return main(["edit", str(crop["photo"]), "--aligned-already", *given, *words])


def test_an_edit_with_its_record(
    model: Path, crop: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep" / "edited"
    words = ["--set", "-Smiling,Blond_Hair", "--mask", str(crop["mask"]), "--region", "hair"]
    assert edit(model, crop, out, *words, "--strength", "0.5") == 0
    said = capsys.readouterr().out
    assert "there and back: " in said and "largest difference there 0 grey levels" in said
    names = {"edited.png", "in_photo.png", "original.png", "mask.png", "sheet.png", "edit.json"}
    assert {path.name for path in out.iterdir()} == names
    record = json.loads((out / "edit.json").read_text())
    with Image.open(out / "edited.png") as picture:
        assert json.loads(picture.text["facecond"]) == record
        new = np.array(picture)
    for name in ("in_photo.png", "sheet.png"):
        with Image.open(out / name) as picture:
            assert json.loads(picture.text["facecond"]) == record | {"file": name}
    with Image.open(out / "original.png") as picture:
        old = np.array(picture)
    assert new.shape == old.shape == (32, 32, 3)
    layout = read_mask(out / "mask.png")
    np.testing.assert_array_equal(layout, read_mask(crop["mask"], 32))
    assert (new != old).any()
    far = cv2.distanceTransform((layout != HAIR).astype(np.uint8), cv2.DIST_L2, 5) > 3
    np.testing.assert_array_equal(new[far], old[far])
    assert record["schema"] == "facecond.edit/1"
    assert (record["strength"], record["steps"], record["region"]) == (0.5, 2, "hair")
    assert record["attributes"] == "Blond_Hair,-Smiling"
    assert record["attributes_before"] == ""
    assert record["layout_from"] == {"file": str(crop["mask"])}
    assert record["errors"]["untouched"]["largest"] == 0
    assert record["errors"]["reconstruction"]["psnr"] > 0
    assert len(record["model_hash"]) == len(record["photo_sha256"]) == 64
    # The same words give the same picture; the record of an edit is not that of a drawn face.
    assert edit(model, crop, tmp_path / "again", *words, "--strength", "0.5") == 0
    again = json.loads((tmp_path / "again" / "edit.json").read_text())
    assert again == record
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "again" / "edited.png")), new)
    assert main(["reproduce", str(out / "edited.png")]) == 2
    assert "it is an edited photo" in capsys.readouterr().err


def test_what_changed_is_in_the_whole_photo_too(
    model: Path, crop: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    noise[60:188, 90:218] = np.array(Image.open(crop["photo"]))
    tag = Image.Exif()
    tag[0x0112] = 6  # shown turned by a quarter
    Image.fromarray(noise).rotate(90, expand=True).save(tmp_path / "photo.png", exif=tag)
    points = np.array([(130, 115), (178, 115), (137, 160), (171, 160)], float)
    face = FoundFace((90.0, 60.0, 128.0, 128.0), Landmarks(*points), 0.9)
    finder = type("Finder", (), {"find": lambda self, photo: [face]})
    monkeypatch.setattr("facecond.data.face_finder.load_finder", lambda _: finder())
    words = ["edit", str(tmp_path / "photo.png"), "--detector", "yunet", "--model", str(model)]
    words += ["--steps", "2", "--set", "Blond_Hair", "--region", "hair"]
    assert main([*words, "--mask", str(crop["mask"]), "--out", str(tmp_path / "a")]) == 0
    in_photo = np.array(Image.open(tmp_path / "a" / "in_photo.png"))
    edited, original = (
        np.array(Image.open(tmp_path / "a" / f"{name}.png")) for name in ("edited", "original")
    )
    told = json.loads((tmp_path / "a" / "edit.json").read_text())["in_photo"]
    square = face_square(face.landmarks)
    assert told == {"file": "in_photo.png", "size": [400, 300], "square": square.tolist()}
    untouched = (cut_square(in_photo, square, 32) == original).all(-1)
    assert in_photo.shape == noise.shape and (in_photo != noise).any()
    changed = np.argwhere((in_photo != noise).any(-1))
    box = square.min(0)[::-1], square.max(0)[::-1]
    assert (changed >= np.floor(box[0])).all() and (changed <= np.ceil(box[1])).all()
    assert untouched[(edited == original).all(-1)].mean() > 0.8
    assert not untouched.all()


def test_an_aligned_photo_of_any_shape_has_the_change_at_its_own_size(
    model: Path, crop: dict[str, Path], tmp_path: Path
) -> None:
    wide = np.random.default_rng(1).integers(0, 256, (128, 200, 3), dtype=np.uint8)
    wide[:, 36:164] = np.array(Image.open(crop["photo"]))
    Image.fromarray(wide).save(tmp_path / "wide.png")
    words = ["--set", "-Young", "--region", "all", "--window", "mask=0.3:1"]
    assert edit(model, {"photo": tmp_path / "wide.png"}, tmp_path / "a", *words) == 0
    in_photo = np.array(Image.open(tmp_path / "a" / "in_photo.png"))
    edited = np.array(Image.open(tmp_path / "a" / "edited.png")).astype(int)
    np.testing.assert_array_equal(in_photo[:, :36], wide[:, :36])
    np.testing.assert_array_equal(in_photo[:, 164:], wide[:, 164:])
    again = central_square(in_photo, 32)
    original = np.array(Image.open(tmp_path / "a" / "original.png")).astype(int)
    middle = slice(4, 28)  # away from the soft edges at both sides
    error = np.abs(again - edited)[:, middle].mean()
    assert error < np.abs(original - edited)[:, middle].mean() / 4
    record = json.loads((tmp_path / "a" / "edit.json").read_text())
    assert record["routing"].endswith(", mask 0.3:1") and "routing_table" in record


def test_layout_and_attributes_that_judges_read(
    model: Path, crop: dict[str, Path], judges: dict[str, Path], tmp_path: Path
) -> None:
    words = ["--parser", str(judges["parser"]), "--classifier", str(judges["classifier"])]
    words += ["--attributes", "-Young", "--set", "Smiling", "--region", "all"]
    assert edit(model, crop, tmp_path / "a", *words) == 0
    record = json.loads((tmp_path / "a" / "edit.json").read_text())
    assert record["attributes_before"] == "Male,-Young"  # the one that the judge reads well
    assert record["attributes"] == "Male,Smiling,-Young"
    assert record["layout_from"]["parser"] == str(judges["parser"])
    assert 0 < record["layout_from"]["confidence"] < 1
    assert len(record["attributes_from"]["weights"]) == 64
    assert record["attributes_before_values"]["Male"] == 1
    # With the parser, a mask is the layout wanted; with --photo-mask too.
    mask = ["--mask", str(crop["mask"])]
    assert edit(model, crop, tmp_path / "b", "--parser", str(judges["parser"]), *mask) == 0
    hat = read_mask(crop["mask"], 32)
    hat[:4] = MASK_CLASSES.index("hat")
    (tmp_path / "hat.png").write_bytes(mask_png(hat))
    mask = ["--photo-mask", str(crop["mask"]), "--mask", str(tmp_path / "hat.png")]
    assert edit(model, crop, tmp_path / "c", *mask, "--guidance", "mask=2") == 0
    record = json.loads((tmp_path / "c" / "edit.json").read_text())
    assert record["change"] == "" and record["guidance"] == {"mask": 2.0}
    assert record["errors"]["changed_share"] == pytest.approx(
        float((hat != read_mask(crop["mask"], 32)).mean()), abs=1e-4
    )


def test_the_whole_picture_needs_no_layout(
    model: Path, crop: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert edit(model, crop, tmp_path / "a", "--set", "-Young", "--region", "all") == 0
    assert "untouched: 0% of the pixels\n" in capsys.readouterr().out


def test_which_of_several_faces_is_said(
    model: Path,
    crop: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    points = np.array([(48, 60), (80, 60), (52, 90), (76, 90)], float)
    faces = [FoundFace((0, 0, side, side), Landmarks(*points), 0.9) for side in (90.0, 60.0)]

    class Finder:
        def find(self, photo: np.ndarray) -> list[FoundFace]:
            return faces

    monkeypatch.setattr("facecond.data.face_finder.load_finder", lambda _: Finder())
    words = ["edit", str(crop["photo"]), "--detector", "yunet", "--model", str(model), "--steps"]
    words += ["1", "--set", "Smiling", "--mask", str(crop["mask"]), "--out", str(tmp_path / "a")]
    assert main(words) == 0
    assert "2 faces found; this is the largest (choose with --face)" in capsys.readouterr().out
    assert main([*words, "--face", "2"]) == 2
    assert "there is no face 2; 2 found" in capsys.readouterr().err
    faces.clear()
    assert main(words) == 2
    assert "no face found" in capsys.readouterr().err


def test_judges_of_drawings_are_refused_for_photos(
    model: Path,
    crop: dict[str, Path],
    judges: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    drawn = tmp_path / "drawn"
    FaceParser(width=8, image_size=32).save_pretrained(drawn)
    write_json(drawn / "scores.json", {"kind": "parser", "source": "rendered"})
    assert edit(model, crop, tmp_path / "a", "--parser", str(drawn), "--set", "Pale_Skin",
                "--region", "all") == 0  # fmt: skip
    assert "warning: this parser learned from rendered faces" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "Smilling", "--mask", "{mask}"], "Did you mean 'Smiling'"),
        (["--set", "Smiling,-Smiling", "--mask", "{mask}"], "named twice"),
        (["--set", "Bald,Gray_Hair", "--mask", "{mask}"], "Gray_Hair and Bald exclude each other"),
        (["--set", "Bald", "--attributes", "Black_Hair,Gray_Hair"], "--attributes: Black_Hair and"),
        (["--set", "Smiling"], "no parser is given"),
        (["--set", "Smiling"], "Or give the photo's layout yourself: --mask FILE."),
        ([], "there is nothing to change"),
        (["--mask", "{mask}"], "there is nothing to change"),
        (["--set", "Smiling", "--parser", "{mask}", "--photo-mask", "{mask}"], "Leave one out"),
        (["--set", "Smiling", "--mask", "{mask}", "--region", "hare"], "Did you mean 'hair'"),
        (["--set", "Smiling", "--mask", "{mask}", "--region", "ear_r"], "the face has no ear_r"),
        (["--set", "Smiling", "--mask", "{mask}", "--strength", "0"], "--strength"),
        (["--set", "Smiling", "--mask", "{mask}", "--strength", "1.2"], "--strength"),
        (["--set", "Smiling", "--mask", "{wide}"], "wide.png: the mask is 64x32"),
        (["--set", "Smiling", "--mask", "{photo}"], "photo.png: the mask is a PNG of mode RGB"),
        (["--set", "Smiling", "--mask", "gone.png"], "gone.png: cannot be read"),
        (["--set", "Smiling", "--parser", "{tmp}"], "no parser judge here"),
        (["--set", "Smiling", "--mask", "{mask}", "--classifier", "{tmp}"], "no attributes judge"),
        (["--set", "Smiling", "--mask", "{mask}", "--attributes", "Smiling"], "already"),
        (["--set", "Smiling", "--mask", "{mask}", "--guidance", "masks=2"], "Did you mean 'mask'"),
        (["--set", "Smiling", "--mask", "{mask}", "--routing", "fine_corse"], "fine_coarse"),
        (["--set", "Smiling", "--mask", "{mask}", "--window", "mask=1:0"], "must be LO:HI"),
        (["--set", "Smiling", "--mask", "{mask}", "--window", "maks=0:0.5"], "Did you mean 'mask'"),
        (["--set", "Smiling", "--mask", "{mask}", "--face", "1"], "no faces are looked for"),
        (["--set", "Smiling", "--mask", "{mask}", "--out", "{mask}"], "is a file, not a folder"),
    ],
)
def test_bad_input_in_one_line(
    model: Path,
    crop: dict[str, Path],
    tmp_path: Path,
    words: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Image.new("L", (64, 32)).save(tmp_path / "wide.png")
    places = {"mask": crop["mask"], "photo": crop["photo"], "tmp": tmp_path}
    filled = [word.format(**places, wide=tmp_path / "wide.png") for word in words]
    assert edit(model, crop, tmp_path / "out", *filled) == 2
    last = capsys.readouterr().err.splitlines()[-1]  # after the bar of the model's loading
    assert last.startswith("facecond: error: ") and message in last
    assert not (tmp_path / "out").exists()


def test_photos_and_models_that_cannot_be_read(
    model: Path,
    crop: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    for photo, message in (("none.jpg", "cannot be read"), ("text.jpg", "corrupt")):
        given = {"photo": tmp_path / photo}
        assert edit(model, given, tmp_path / "out", "--set", "-Young", "--region", "all") == 2
        assert message in capsys.readouterr().err
    assert edit(tmp_path, crop, tmp_path / "out", "--set", "-Young", "--region", "all") == 2
    assert "not a model folder" in capsys.readouterr().err
    words = ["--set", "-Young", "--mask", str(crop["mask"]), "--out", str(tmp_path / "out")]
    assert main(["edit", str(crop["photo"]), "--model", str(model), *words]) == 2
    assert "--detector: no face detector is given" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
