import argparse

import numpy as np
import pytest
from PIL import Image

from facecond.cli import main
from facecond.commands import data_prepare, data_render
from facecond.data.pictures import resize_mask
from facecond.data.prepared import PreparedFolder
from facecond.data.rendered import render
from facecond.errors import UserError
from facecond.labels import ATTRIBUTES


def _run(command, *words):
    parser = argparse.ArgumentParser()
    command.configure(parser)
    return command.run(parser.parse_args([str(word) for word in words]))


def test_rendered_folder_holds_the_faces_of_the_renderer(tmp_path, capsys):
    words = ("--count", 24, "--size", 64, "--seed", 5, "--test-fraction", 0.25)
    assert _run(data_render, "--out", tmp_path / "a", *words, "--workers", 2) == 0
    assert "24 faces of 64 px (generator 13, judges 5, test 6)" in capsys.readouterr().out
    folder = PreparedFolder.open(tmp_path / "a")
    for index in (0, 23):
        face = render(5, index, 64)
        np.testing.assert_array_equal(folder.image(index), face.image)
        np.testing.assert_array_equal(folder.mask(index), face.mask)
        np.testing.assert_array_equal(folder.attributes[index], face.attributes)
    _run(data_render, "--out", tmp_path / "b", *words, "--workers", 1)
    assert PreparedFolder.open(tmp_path / "b").data_hash == folder.data_hash
    _run(data_render, "--out", tmp_path / "c", *words, "--independent")
    assert PreparedFolder.open(tmp_path / "c").data_hash != folder.data_hash


def test_variations_are_rendered_for_the_prepared_layout(tmp_path, capsys):
    words = ("--size", 64, "--variations", 2, "--workers", 1, "--out", tmp_path / "a")
    assert _run(data_render, "--count", 8, *words) == 0
    assert "8 faces of 64 px" in capsys.readouterr().out
    assert len(PreparedFolder.open(tmp_path / "a").factors) == 8
    with pytest.raises(UserError, match="--variations: the layout folder has no place"):
        _run(data_render, "--count", 8, *words, "--layout", "folder")


def test_folder_layout_prepares_to_the_same_faces(tmp_path, capsys):
    words = ("--count", 5, "--size", 64)
    _run(data_render, "--out", tmp_path / "plain", *words, "--layout", "folder")
    assert {"-1", "1"} <= set((tmp_path / "plain" / "attributes.csv").read_text().split(","))
    _run(
        data_prepare, "folder", "--root", tmp_path / "plain", "--out", tmp_path / "a", "--size", 64
    )
    assert "5 faces of 64 px" in capsys.readouterr().out
    folder = PreparedFolder.open(tmp_path / "a")
    for index in range(5):
        face = render(0, index, 64)
        np.testing.assert_array_equal(folder.image(index), face.image)
        np.testing.assert_array_equal(folder.mask(index), face.mask)
        np.testing.assert_array_equal(folder.attributes[index], face.attributes)
    with pytest.raises(UserError, match="is in use"):
        _run(data_render, "--out", tmp_path / "plain", *words, "--layout", "folder")


def test_celebamask_layout_prepares_to_the_same_faces(tmp_path, capsys):
    raw = tmp_path / "raw"
    words = ("--count", 8, "--size", 128, "--layout", "celebamask", "--workers", 1)
    _run(data_render, "--out", raw, *words)
    assert "8 faces of 128 px in the layout of CelebAMask-HQ" in capsys.readouterr().out
    words = ("--root", raw, "--size", 64, "--workers", 1, "--out")
    _run(data_prepare, "celebamask", *words, tmp_path / "a")
    told = capsys.readouterr()
    assert "8 faces of 64 px" in told.out and "note: the split 'test' is empty" in told.err
    _run(data_prepare, "celebamask", *words, tmp_path / "b", "--split", "random", "--seed", 3)
    folder = PreparedFolder.open(tmp_path / "b")
    assert folder.manifest["details"]["split"] == "random" and len(folder.indices("test")) == 1
    for index in range(8):
        mask = resize_mask(render(0, index, 128).mask, 64)
        np.testing.assert_array_equal(folder.mask(index), mask)


def test_size_is_needed_but_for_the_celebamask_layout(tmp_path):
    with pytest.raises(UserError, match="--size: is missing"):
        _run(data_render, "--out", tmp_path / "a", "--count", 2)
    _run(data_render, "--out", tmp_path / "a", "--count", 1, "--layout", "celebamask")
    with Image.open(tmp_path / "a" / "CelebA-HQ-img" / "0.jpg") as picture:
        assert picture.size == (1024, 1024)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--count", 0), "--count: 0 is out of range"),
        (("--size", 8), "--size: 8 is out of range.*64 to 1024"),
        (("--size", 2000), "--size: 2000 is out of range"),
        (("--workers", 0), "--workers: 0 is out of range"),
        (("--variations", 3), "--count: 4 faces are no whole blocks of 3 x 3"),
        (("--test-fraction", 1.2), "--test-fraction: 1.2 is not a share"),
        (("--layout", "foldr"), "unknown layout 'foldr'.*'folder'"),
    ],
)
def test_render_options_out_of_range(tmp_path, words, message):
    options = {"--out": tmp_path / "a", "--count": 4, "--size": 64} | {words[0]: words[1]}
    with pytest.raises(UserError, match=message):
        _run(data_render, *(word for pair in options.items() for word in pair))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "words", "message"),
    [
        ("foldr", (), "unknown kind 'foldr'.*'folder'"),
        ("folder", ("--size", 4), "--size: 4 is out of range"),
        ("folder", ("--workers", -1), "--workers: -1 is out of range"),
        ("folder", ("--labels", "celebamsk"), "--labels.*'celebamask'"),
        ("folder", ("--split", "random"), "--split: does not apply to 'folder'"),
        ("folder", ("--identities", "nobody.txt"), r"nobody\.txt: cannot be read"),
        ("celebamask", ("--labels", "bisenet"), "--labels: does not apply to 'celebamask'"),
        ("celebamask", ("--test-fraction", 0.2), "--test-fraction: this split says"),
        ("celebamask", ("--split", "papers"), "--split: unknown split 'papers'"),
        ("celebamask", (), "there is no folder CelebA-HQ-img"),
        ("folder", ("--judges-fraction", 0.95), "sum to more than 1"),
    ],
)
def test_prepare_options_out_of_range(tmp_path, kind, words, message):
    (tmp_path / "raw" / "images").mkdir(parents=True)
    Image.new("RGB", (32, 32)).save(tmp_path / "raw" / "images" / "a.png")
    options = {"--root": tmp_path / "raw", "--out": tmp_path / "a", "--size": 64}
    options |= dict([words] if words else [])
    with pytest.raises(UserError, match=message):
        _run(data_prepare, kind, *(word for pair in options.items() for word in pair))
    assert not (tmp_path / "a").exists()


def test_the_official_split_draws_no_judges(tmp_path):
    words = ("--root", tmp_path, "--out", tmp_path / "a", "--size", 64, "--split", "celeba")
    with pytest.raises(UserError, match="--judges-fraction: this split draws nothing"):
        _run(data_prepare, "celebamask", *words, "--judges-fraction", 0.1)


def _plain(root):
    """Eight faces with masks and a table."""
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    for index in range(8):
        Image.new("RGB", (32, 32), (index, 9, 9)).save(root / "images" / f"f{index}.jpg")
        Image.new("L", (32, 32), index).save(root / "masks" / f"f{index}.png")
    rows = [f"f{index}.jpg,1,-1" for index in range(8)]
    (root / "attributes.csv").write_text("\n".join(["name,Young,Bald", *rows]) + "\n")


def _edit(name, old, new):
    def damage(root):
        text = (root / name).read_text()
        assert old in text
        (root / name).write_text(text.replace(old, new))

    return damage


def _save(name, picture, **options):
    return lambda root: picture.save(root / name, **options)


def _cut(name):
    return lambda root: (root / name).write_bytes((root / name).read_bytes()[:300])


def _remove_images(root):
    for path in (root / "images").iterdir():
        path.unlink()


@pytest.mark.parametrize(
    ("damage", "place", "word"),
    [
        (_edit("attributes.csv", "name,", ""), "attributes.csv", "no name column"),
        (_edit("attributes.csv", "Young", "Yuong"), "attributes.csv", "'Yuong'"),
        (_edit("attributes.csv", "f3.jpg,1,-1", "f3.jpg,1"), "line 5", "2 fields"),
        (_edit("attributes.csv", "f3.jpg,1,-1", "f3.jpg,1,-1,1"), "line 5", "4 fields"),
        (_edit("attributes.csv", "f3.jpg,1,-1", "f3.jpg,1,0"), "line 5", "coded 0"),
        (_edit("attributes.csv", "f3.jpg", "f2.png"), "line 5", "also on line 4"),
        (_save("masks/f3.png", Image.new("I;16", (32, 32), 3)), "f3.png", "I;16"),
        (_save("masks/f3.png", Image.new("RGBA", (32, 32))), "f3.png", "RGBA"),
        (_save("masks/f3.png", Image.new("L", (32, 24))), "f3.png", "32x24"),
        (_save("masks/f3.png", Image.new("L", (32, 32), 30)), "f3.png", "30"),
        (_save("images/f3.png", Image.new("RGB", (32, 32))), "f3.png", "f3.jpg"),
        (_cut("images/f3.jpg"), "f3.jpg", "truncated"),
        (_remove_images, "images", "no images found"),
    ],
)
def test_bad_input_gives_one_line_and_leaves_nothing(tmp_path, capsys, damage, place, word):
    _plain(tmp_path / "raw")
    damage(tmp_path / "raw")
    words = ["data", "prepare", "folder", "--root", tmp_path / "raw", "--out", tmp_path / "a"]
    assert main([*map(str, words), "--size", "16", "--workers", "1"]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("facecond: error: ") and place in line and word in line
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def _palette(root):
    picture = Image.new("P", (32, 32), 3)
    picture.putpalette([250, 0, 0] * 16)
    picture.save(root / "masks" / "f3.png")


@pytest.mark.parametrize(
    "harmless",
    [
        _palette,
        _save("images/f3.jpg", Image.new("CMYK", (32, 32))),
        _save("images/f3.jpg", Image.new("L", (32, 32))),
        lambda root: (root / "attributes.csv").write_bytes(
            b"\xef\xbb\xbf" + (root / "attributes.csv").read_bytes().replace(b"\n", b"\r\n")
        ),
        lambda root: (root / "attributes.csv").write_text(
            (root / "attributes.csv").read_text().replace("-1", "0")
        ),
    ],
    ids=["palette mask", "CMYK", "greyscale", "BOM and CRLF", "0/1 coding"],
)
def test_what_can_be_read_without_guessing_is_read(tmp_path, harmless):
    _plain(tmp_path / "raw")
    harmless(tmp_path / "raw")
    words = ["data", "prepare", "folder", "--root", tmp_path / "raw", "--out", tmp_path / "a"]
    assert main([*map(str, words), "--size", "16", "--workers", "1"]) == 0
    folder = PreparedFolder.open(tmp_path / "a")
    assert folder.image(3).shape == (16, 16, 3) and (folder.mask(3) == 3).all()
    young, bald = ATTRIBUTES.index("Young"), ATTRIBUTES.index("Bald")
    assert (folder.attributes[:, young] == 1).all() and (folder.attributes[:, bald] == 0).all()


@pytest.mark.parametrize("out", ["raw/attributes.csv", "raw/attributes.csv/a", "raw"])
def test_a_place_that_cannot_be_written_to(tmp_path, capsys, out):
    _plain(tmp_path / "raw")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    words = ["data", "prepare", "folder", "--root", tmp_path / "raw", "--out", tmp_path / out]
    assert main([*map(str, words), "--size", "16", "--workers", "1"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert sorted(path.name for path in tmp_path.rglob("*")) == before
