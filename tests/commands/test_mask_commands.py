"""`facecond mask random|template|from-photo|edit`: masks for people who own none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facecond.cli import main
from facecond.data.masks import TEMPLATES, random_mask, read_mask, template_mask
from facecond.data.rendered import render
from facecond.labels import ANYTHING, colour_mask, mirror_mask
from facecond.models.judges import FaceParser


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_random_mask_and_its_picture() -> None:
    assert main(["mask", "random", "--seed", "7", "--size", "64", "--out", "deep/m.png"]) == 0
    mask = random_mask(7, 64)
    assert np.array_equal(read_mask(Path("deep/m.png")), mask)
    preview = np.array(Image.open("deep/m_preview.png"))
    assert preview.shape == (256, 256, 3)
    assert np.array_equal(preview[::4, ::4], colour_mask(mask))


def test_templates_are_listed_and_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mask", "template"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(TEMPLATES)
    assert main(["mask", "template", "hat", "--out", "h.png", "--preview", "c.png"]) == 0
    assert np.array_equal(read_mask(Path("h.png")), template_mask("hat", 256))
    assert Image.open("c.png").mode == "RGB"


def test_edits_are_done_in_the_stated_order() -> None:
    main(["mask", "template", "hat", "--size", "64", "--out", "hat.png"])
    words = ["mask", "edit", "hat.png", "--out", "e.png", "--mirror", "--open", "hair"]
    assert main([*words, "--replace", "hat=hair"]) == 0
    expected = template_mask("hat", 64)
    expected[np.isin(expected, [13, 14])] = ANYTHING
    assert np.array_equal(read_mask(Path("e.png")), mirror_mask(expected))


def test_a_photo_is_parsed() -> None:
    FaceParser(width=8, image_size=32).save_pretrained("parser")
    Image.fromarray(render(0, 0, 64).image).save("photo.png")
    words = ["mask", "from-photo", "photo.png", "--parser", "parser", "--aligned-already"]
    assert main(words) == 0
    assert read_mask(Path("mask.png")).shape == (32, 32)
    assert Image.open("mask_preview.png").size == (256, 256)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["template", "smiel"], "Did you mean 'smile'"),
        (["random", "--size", "8"], "from 16 to 1024"),
        (["random", "--out", "m.jpg"], "Write NAME.png"),
        (["random", "--out", "m.png", "--preview", "m.png"], "Give each its own"),
        (["edit", "none.png", "--mirror"], "none.png"),
        (["edit", "mask.png"], "Add --mirror"),
        (["edit", "mask.png", "--open", "hairs"], "Did you mean 'hair'"),
        (["edit", "mask.png", "--replace", "hair"], "hat=hair"),
        (["edit", "photo.png", "--mirror"], "mode RGB"),
        (["from-photo", "photo.png"], "no parser is given"),
    ],
)
def test_bad_input(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (64, 64)).save("photo.png")
    Image.new("L", (64, 64)).save("mask.png")
    before = sorted(Path().iterdir())
    assert main(["mask", *words]) == 2
    said = capsys.readouterr().err
    assert message in said and len(said.splitlines()) == 1
    assert sorted(Path().iterdir()) == before
